{% snapshot customers_snapshot %}
{{ config(unique_key='customer_id', strategy='check', check_cols=['city', 'credit'], hard_deletes='invalidate') }}
select customer_id, city, credit, notes from {{ ref('stg_customers') }}
{% endsnapshot %}
