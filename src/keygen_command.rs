//! `amqpost keygen`: a new key, which is told this once, and the lines of the configuration that let its
//! caller in.

use amqpost::chance;
use amqpost::domain::Caller;
use amqpost::domain::access::{KeyHash, new_key};
use amqpost::domain::caller::InvalidName;

/// What is printed for a caller of this name.
pub(crate) fn run(name: &str) -> Result<String, InvalidName> {
    // A name with a dot would be two in TOML.
    let caller = Caller::named(name)?;
    let table = if name.contains('.') {
        format!("\"{caller}\"")
    } else {
        caller.to_string()
    };
    let key = new_key(std::array::from_fn(|_| chance::bits()));
    let hash = KeyHash::of(key.as_bytes());
    Ok(format!(
        "# The key of {caller}, which cannot be shown again:\n\
         {key}\n\
         # In the configuration file; if the table is there, add the hash to its keys:\n\
         [callers.{table}]\n\
         keys = [\"{hash}\"]\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_is_printed_is_that_of_the_key() {
        for (name, table) in [
            ("billing", "[callers.billing]"),
            ("a.b", "[callers.\"a.b\"]"),
        ] {
            let printed = run(name).expect("a name");
            let lines: Vec<_> = printed.lines().collect();
            let hash = KeyHash::of_chosen(lines[1]).expect("a key");
            assert_eq!(lines[3..], [table, &format!("keys = [\"{hash}\"]")]);
            assert_ne!(run(name), Ok(printed));
        }
    }

    #[test]
    fn what_is_no_name_gets_no_key() {
        assert_eq!(run("a b"), Err(InvalidName));
    }
}
