-- Staging of banking.transactions: one row per transaction, under the names the marts use.
-- It renames and casts row by row; it never filters, joins or aggregates.
{{ config(materialized='table', unique_key='transaction_id') }}

select
    cast(id as varchar) as transaction_id,
    cast(account_id as varchar) as account_id,
    txn_type as transaction_type,
    cast(amount as decimal(18, 2)) as amount,
    cast(related_account_id as varchar) as related_account_id,
    status,
    cast(created_at as timestamp(6)) as transaction_time,
    cast(current_timestamp as timestamp(6)) as load_timestamp
from {{ source('banking', 'transactions') }}
