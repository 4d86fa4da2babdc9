-- Staging of banking.accounts: one row per living account, under the names the marts use.
-- It renames and casts row by row; it never filters, joins or aggregates.
{{ config(materialized='table', unique_key='account_id') }}

select
    cast(id as varchar) as account_id,
    cast(customer_id as varchar) as customer_id,
    account_type,
    cast(balance as decimal(18, 2)) as balance,
    currency,
    cast(created_at as timestamp(6)) as created_at,
    cast(current_timestamp as timestamp(6)) as load_timestamp
from {{ source('banking', 'accounts') }}
