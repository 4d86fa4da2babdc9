select city, count(*) as customers, sum(credit) as credit
from {{ ref('stg_customers') }}
group by city
