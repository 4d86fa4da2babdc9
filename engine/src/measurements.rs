//! What was measured before and while this was built: numbers, machine and method.
//!
//! Documentation alone. The commands are `freshet bench lake` and `freshet bench drain`.
