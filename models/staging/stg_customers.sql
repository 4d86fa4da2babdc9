-- Staging of banking.customers: one row per living customer, under the names the marts use.
-- It renames and casts row by row; it never filters, joins or aggregates.
{{ config(materialized='table', unique_key='customer_id') }}

select
    cast(id as varchar) as customer_id,
    first_name,
    last_name,
    email,
    -- Six digits: DataFusion's bare `timestamp` is in nanoseconds and ends in the year 2262.
    cast(created_at as timestamp(6)) as created_at,
    cast(current_timestamp as timestamp(6)) as load_timestamp
from {{ source('banking', 'customers') }}
