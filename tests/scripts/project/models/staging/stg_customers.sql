select
    cast(id as varchar) as customer_id,
    city,
    credit,
    notes,
    current_timestamp as load_timestamp
from {{ source('shop', 'customers') }}
