-- Fails with one row when the customers' total balances differ from the accounts' balances.
-- Exact to the cent; never compares with a tolerance.
with customers as (
    select cast(coalesce(sum(total_balance), 0) as decimal(38, 2)) as total
    from {{ ref('customer_summary') }}
),

accounts as (
    select cast(coalesce(sum(balance), 0) as decimal(38, 2)) as total
    from {{ ref('stg_accounts') }}
)

select
    customers.total as customers_total,
    accounts.total as accounts_total
from customers
cross join accounts
where customers.total <> accounts.total
