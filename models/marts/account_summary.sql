-- One row per living account: its balance and its activity since it was opened.
-- Sums and counts only, so that they stay exact; never joins before it has aggregated.
{{ config(materialized='table', unique_key='account_id') }}

{% set types = var('transaction_types') %}
with activity as (
    select
        account_id,
        count(*) as number_of_transactions,
        cast(sum(amount) as decimal(18, 2)) as total_amount,
        {% for type in types %}
        cast(sum(
            case when transaction_type = '{{ type }}' then amount end
        ) as decimal(18, 2)) as total_{{ type | lower }}_amount,
        {% endfor %}
        max(amount) as largest_amount,
        min(transaction_time) as first_transaction_time,
        max(transaction_time) as last_transaction_time
    from {{ ref('fact_transactions') }}
    group by account_id
)

select
    accounts.account_id,
    accounts.customer_id,
    accounts.account_type,
    accounts.currency,
    accounts.balance,
    coalesce(activity.number_of_transactions, 0) as number_of_transactions,
    coalesce(activity.total_amount, cast(0 as decimal(18, 2))) as total_amount,
    {% for type in types %}
    coalesce(
        activity.total_{{ type | lower }}_amount, cast(0 as decimal(18, 2))
    ) as total_{{ type | lower }}_amount,
    {% endfor %}
    activity.largest_amount,
    activity.first_transaction_time,
    activity.last_transaction_time
from {{ ref('dim_accounts_current') }} as accounts
left join activity on activity.account_id = accounts.account_id
