-- One row per account and UTC day on which it had a transaction.
-- Amounts are of every status; days without a transaction have no row (dim_date fills them).
{{ config(materialized='table', unique_key=['account_id', 'activity_date']) }}

{% set types = var('transaction_types') %}
with dated as (
    select
        account_id,
        cast(transaction_time as date) as activity_date,
        transaction_type,
        amount
    from {{ ref('fact_transactions') }}
    where transaction_time is not null
)

select
    account_id,
    activity_date,
    count(*) as number_of_transactions,
    cast(sum(amount) as decimal(18, 2)) as total_amount,
    {% for type in types %}
    cast(sum(
        case when transaction_type = '{{ type }}' then amount else cast(0 as decimal(18, 2)) end
    ) as decimal(18, 2)) as total_{{ type | lower }}_amount,
    {% endfor %}
    min(amount) as smallest_amount,
    max(amount) as largest_amount
from dated
group by account_id, activity_date
