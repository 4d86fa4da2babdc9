{% snapshot tombstones_snapshot %}
{{ config(unique_key='customer_id', strategy='check', check_cols=['city'], hard_deletes='new_record') }}
select customer_id, city from {{ ref('stg_customers') }}
{% endsnapshot %}
