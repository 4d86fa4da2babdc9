{# History of customers: a version for every change of name or e-mail, closed by a delete.
   It reads one staging model row by row, so that each source transaction can be a version;
   load_timestamp stays out, since an audit column is no part of history. #}
{% snapshot customers_snapshot %}
{{ config(
    unique_key='customer_id',
    strategy='check',
    check_cols=['first_name', 'last_name', 'email'],
    hard_deletes='invalidate'
) }}

select
    customer_id,
    first_name,
    last_name,
    email,
    created_at
from {{ ref('stg_customers') }}
{% endsnapshot %}
