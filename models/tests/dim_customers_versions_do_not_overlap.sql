-- Fails with every version of a customer that ends after the next one begins, or before it begins.
-- Versions are half-open, so that a version without duration overlaps nothing.
with versions as (
    select
        customer_id,
        effective_from,
        effective_to,
        lead(effective_from) over (
            partition by customer_id
            order by effective_from, effective_to nulls last
        ) as next_from
    from {{ ref('dim_customers') }}
)

select
    customer_id,
    effective_from,
    effective_to,
    next_from
from versions
where
    effective_to < effective_from
    or next_from < effective_to
    or (effective_to is null and next_from is not null)
