//! Names and mail addresses for the bank's customers.
//!
//! Some names carry accents, apostrophes and quotation marks, so that no output is spared its
//! escaping. The addresses lie in domains reserved for examples. It must never hold a real person.

use super::rng::Rng;
use super::row::Customer;

const FIRST: [&str; 32] = [
    "Ada",
    "Amira",
    "Anna",
    "Björn",
    "Carlos",
    "Chen",
    "Chloé",
    "Daniel",
    "Elif",
    "Emma",
    "Fatima",
    "Grace",
    "Hana",
    "Ingrid",
    "Ivan",
    "Jonas",
    "Kofi",
    "Lena",
    "Łukasz",
    "Marta",
    "Mei",
    "Nia",
    "Noah",
    "Olga",
    "Omar",
    "Priya",
    "Rosa",
    "Sam",
    "William \"Bill\"",
    "Yusuf",
    "Zoë",
    "Émile",
];

const LAST: [&str; 32] = [
    "Adeyemi",
    "Andersen",
    "Bauer",
    "Costa",
    "D'Angelo",
    "Dubois",
    "Evans",
    "Ferrari",
    "García",
    "Hansen",
    "Ito",
    "Jensen",
    "Kaya",
    "Khan",
    "Kowalski",
    "Li",
    "Martin",
    "Meyer",
    "Müller",
    "Novák",
    "O'Connor",
    "Okafor",
    "Patel",
    "Petrov",
    "Rossi",
    "Sato",
    "Silva",
    "Smith-Jones",
    "Tanaka",
    "van der Berg",
    "Wójcik",
    "Young",
];

const DOMAINS: [&str; 3] = ["example.com", "example.org", "example.net"];

/// A new customer with the given key.
pub fn customer(rng: &mut Rng, id: i32, created_us: i64) -> Customer {
    let first_name = rng.word(&FIRST).to_owned();
    let last_name = rng.word(&LAST).to_owned();
    let domain = rng.word(&DOMAINS);
    let email = format!("{}.{}.{id}@{domain}", slug(&first_name), slug(&last_name));
    Customer { id, first_name, last_name, email, created_us }
}

/// The same customer with another address: unique, since it holds the key.
pub fn with_new_email(rng: &mut Rng, customer: &Customer) -> Customer {
    let names = (slug(&customer.first_name), slug(&customer.last_name));
    let domain = rng.word(&DOMAINS);
    let number = rng.between(1, 9_999);
    let spelt = |n: i64| format!("{}.{}.{}.{n}@{domain}", names.0, names.1, customer.id);
    let email = spelt(number);
    let email = if email == customer.email { spelt(number + 1) } else { email };
    Customer { email, ..customer.clone() }
}

/// The same customer with another last name.
pub fn with_new_name(rng: &mut Rng, customer: &Customer) -> Customer {
    let at = rng.below(LAST.len() as u64) as usize;
    let two = [at, (at + 1) % LAST.len()].map(|i| LAST.get(i).copied().unwrap_or_default());
    let name = if two[0] == customer.last_name { two[1] } else { two[0] };
    Customer { last_name: name.to_owned(), ..customer.clone() }
}

fn slug(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}
