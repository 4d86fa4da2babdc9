select page, count(*) as visits
from {{ source('shop', 'visits') }}
group by page
