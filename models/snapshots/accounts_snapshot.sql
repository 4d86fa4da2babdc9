{# History of accounts: a version for every change of owner, type or balance, closed by a delete.
   It reads one staging model row by row, so that each source transaction can be a version;
   load_timestamp stays out, since an audit column is no part of history. #}
{% snapshot accounts_snapshot %}
{{ config(
    unique_key='account_id',
    strategy='check',
    check_cols=['customer_id', 'account_type', 'balance'],
    hard_deletes='invalidate'
) }}

select
    account_id,
    customer_id,
    account_type,
    balance,
    currency,
    created_at
from {{ ref('stg_accounts') }}
{% endsnapshot %}
