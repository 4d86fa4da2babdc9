{% snapshot tombstones_snapshot %}
{{ config(unique_key='customer_id', strategy='check', check_cols=['city'], hard_deletes='new_record') }}
select customer_id, city, current_timestamp as loaded_at from {{ ref('stg_customers') }}
{% endsnapshot %}
