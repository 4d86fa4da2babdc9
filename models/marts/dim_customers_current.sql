-- One row per living customer: the many-to-one side that a report can relate facts to.
-- Never holds a deleted customer or an older version.
{{ config(materialized='table', unique_key='customer_id') }}

select
    customer_id,
    first_name,
    last_name,
    email,
    created_at,
    effective_from
from {{ ref('dim_customers') }}
where is_current
