-- One row per day from the first to the last day of any transaction, gaps filled.
-- Days are counted off by crossing decimal digits: series functions differ between engines.
-- Five digits reach 273 years; a test relates every day of activity to this table.
{{ config(materialized='table', unique_key='date_day') }}

with bounds as (
    select
        min(cast(transaction_time as date)) as first_day,
        max(cast(transaction_time as date)) as last_day
    from {{ ref('fact_transactions') }}
),

digits as (
    select digit
    from (
        values (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)
    ) as digit_list (digit)
),

numbers as (
    select cast(
        {% for place in [1, 10, 100, 1000, 10000] %}
        d{{ place }}.digit * {{ place }}{% if not loop.last %} +{% endif %}
        {% endfor %}
    as integer) as day_number
    from digits as d1
    {% for place in [10, 100, 1000, 10000] %}
    cross join digits as d{{ place }}
    {% endfor %}
),

days as (
    select cast(bounds.first_day + numbers.day_number as date) as date_day
    from bounds
    inner join numbers on numbers.day_number <= bounds.last_day - bounds.first_day
),

weekdays as (
    select
        date_day,
        -- The first day of the year 1 was a Monday; no two engines name ISO weekdays alike.
        cast((date_day - date '0001-01-01') % 7 + 1 as integer) as iso_weekday
    from days
)

select
    date_day,
    cast(extract(year from date_day) as integer) as year,
    cast(extract(quarter from date_day) as integer) as quarter,
    cast(extract(month from date_day) as integer) as month,
    cast(extract(day from date_day) as integer) as day,
    iso_weekday,
    iso_weekday >= 6 as is_weekend
from weekdays
