-- Every version of every account, for the report: history with readable interval columns.
-- Average balances over the current versions only. Never filters versions away.
{{ config(materialized='table', unique_key=['account_id', 'effective_from']) }}

select
    account_id,
    customer_id,
    account_type,
    balance,
    currency,
    created_at,
    cast(dbt_valid_from as timestamp(6)) as effective_from,
    cast(dbt_valid_to as timestamp(6)) as effective_to,
    dbt_valid_to is null as is_current
from {{ ref('accounts_snapshot') }}
