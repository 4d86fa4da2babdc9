select 100 / cast(credit as bigint) as share, count(*) as customers
from {{ ref('stg_customers') }}
where credit >= 1
group by 1
