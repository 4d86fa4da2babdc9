{# Fails with every key that has more than one current row. `key` is a column, `current` a boolean
   expression over the row. A key without a current row is fine: it was deleted. #}
{% test one_current_row(model, key, current) %}

select
    {{ key }},
    count(*) as current_rows
from {{ model }}
where {{ current }}
group by {{ key }}
having count(*) > 1

{% endtest %}
