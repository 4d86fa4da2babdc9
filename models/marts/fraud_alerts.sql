-- One row per transaction and reason to look at it: a large amount, or too many in an hour.
-- The hour before a transaction includes both its ends and every transaction of the same instant,
-- so that the order among those never matters. It alerts; it never judges by status.
{{ config(materialized='table', unique_key=['transaction_id', 'alert_type']) }}

with counted as (
    select
        transaction_id,
        account_id,
        customer_id,
        transaction_type,
        amount,
        transaction_time,
        count(*) over (
            partition by account_id
            order by transaction_time
            range between interval '1 hour' preceding and current row
        ) as transactions_in_hour
    from {{ ref('fact_transactions') }}
),

large_amounts as (
    select
        transaction_id,
        'large_amount' as alert_type,
        account_id,
        customer_id,
        transaction_type,
        amount,
        transaction_time,
        transactions_in_hour
    from counted
    where amount >= {{ var('fraud_amount', 10000) }}
),

bursts as (
    select
        transaction_id,
        'velocity' as alert_type,
        account_id,
        customer_id,
        transaction_type,
        amount,
        transaction_time,
        transactions_in_hour
    from counted
    where
        transaction_time is not null
        and transactions_in_hour >= {{ var('fraud_transactions_per_hour', 10) }}
),

alerts as (
    select * from large_amounts
    union all
    select * from bursts
)

select
    transaction_id,
    alert_type,
    account_id,
    customer_id,
    transaction_type,
    amount,
    transaction_time,
    transactions_in_hour
from alerts
