-- One row per living account: the many-to-one side that a report can relate facts to.
-- Never holds a deleted account or an older version.
{{ config(materialized='table', unique_key='account_id') }}

select
    account_id,
    customer_id,
    account_type,
    balance,
    currency,
    created_at,
    effective_from
from {{ ref('dim_accounts') }}
where is_current
