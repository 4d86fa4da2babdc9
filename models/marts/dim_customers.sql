-- Every version of every customer, for the report: history with readable interval columns.
-- A deleted customer keeps its versions and has no current one. Never filters versions away.
{{ config(materialized='table', unique_key=['customer_id', 'effective_from']) }}

select
    customer_id,
    first_name,
    last_name,
    email,
    created_at,
    cast(dbt_valid_from as timestamp(6)) as effective_from,
    cast(dbt_valid_to as timestamp(6)) as effective_to,
    dbt_valid_to is null as is_current
from {{ ref('customers_snapshot') }}
