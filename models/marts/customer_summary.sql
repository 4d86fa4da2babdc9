-- One row per living customer: accounts, money and activity of all accounts owned now.
-- Sums and counts only, so that they stay exact; never joins before it has aggregated.
{{ config(materialized='table', unique_key='customer_id') }}

{% set types = var('transaction_types') %}
with holdings as (
    select
        customer_id,
        count(*) as number_of_accounts,
        cast(sum(balance) as decimal(18, 2)) as total_balance
    from {{ ref('dim_accounts_current') }}
    group by customer_id
),

activity as (
    select
        customer_id,
        count(*) as number_of_transactions,
        cast(sum(amount) as decimal(18, 2)) as total_amount,
        {% for type in types %}
        cast(sum(
            case when transaction_type = '{{ type }}' then amount end
        ) as decimal(18, 2)) as total_{{ type | lower }}_amount,
        {% endfor %}
        max(transaction_time) as last_transaction_time
    from {{ ref('fact_transactions') }}
    group by customer_id
)

select
    customers.customer_id,
    customers.first_name,
    customers.last_name,
    coalesce(holdings.number_of_accounts, 0) as number_of_accounts,
    coalesce(holdings.total_balance, cast(0 as decimal(18, 2))) as total_balance,
    coalesce(activity.number_of_transactions, 0) as number_of_transactions,
    coalesce(activity.total_amount, cast(0 as decimal(18, 2))) as total_amount,
    {% for type in types %}
    coalesce(
        activity.total_{{ type | lower }}_amount, cast(0 as decimal(18, 2))
    ) as total_{{ type | lower }}_amount,
    {% endfor %}
    activity.last_transaction_time
from {{ ref('dim_customers_current') }} as customers
left join holdings on holdings.customer_id = customers.customer_id
left join activity on activity.customer_id = customers.customer_id
