select city, count(*) filter (where _commit_at > current_timestamp - interval '2 hours') as fresh
from {{ source('shop', 'customers') }}
group by city
