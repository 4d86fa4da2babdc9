-- The bank's three tables, as its applications have them: no updated_at, no trigger, and the
-- replica identity left at its default, so that a change's "before" holds the primary key only.

create table customers (
    id serial primary key,
    first_name varchar(100) not null,
    last_name varchar(100) not null,
    email varchar(255) unique not null,
    created_at timestamptz default now()
);

create table accounts (
    id serial primary key,
    customer_id int not null references customers (id) on delete cascade,
    account_type varchar(50) not null,
    balance numeric(18, 2) not null default 0 check (balance >= 0),
    currency char(3) not null default 'USD',
    created_at timestamptz default now()
);

create table transactions (
    id bigserial primary key,
    account_id int not null references accounts (id) on delete cascade,
    txn_type varchar(50) not null,
    amount numeric(18, 2) not null check (amount > 0),
    related_account_id int null,
    status varchar(20) not null default 'COMPLETED',
    created_at timestamptz default now()
);
