-- One row per living customer: the segment that its total balance puts it in.
-- The bounds are variables of the project; a balance on a bound belongs to the higher segment.
{{ config(materialized='table', unique_key='customer_id') }}

select
    customer_id,
    total_balance,
    number_of_accounts,
    case
        when number_of_accounts = 0 then 'no_account'
        when total_balance >= {{ var('segment_premium_from', 100000) }} then 'premium'
        when total_balance >= {{ var('segment_affluent_from', 10000) }} then 'affluent'
        else 'standard'
    end as segment
from {{ ref('customer_summary') }}
