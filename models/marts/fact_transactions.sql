-- One row per transaction, with the account's current owner.
-- There is no is_incremental() filter: a watermark would miss late rows and changes of status.
-- A left join, so that a transaction is never lost for want of its account.
{{ config(materialized='incremental', unique_key='transaction_id') }}

with owners as (
    select
        account_id,
        customer_id
    from {{ ref('dim_accounts') }}
    where is_current
)

select
    transactions.transaction_id,
    transactions.account_id,
    owners.customer_id,
    transactions.amount,
    transactions.related_account_id,
    transactions.status,
    transactions.transaction_type,
    transactions.transaction_time,
    cast(current_timestamp as timestamp(6)) as load_timestamp
from {{ ref('stg_transactions') }} as transactions
left join owners on owners.account_id = transactions.account_id
