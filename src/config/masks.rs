//! How secrets look where a configuration is shown.

/// What stands for a secret.
const MASK: &str = "***";

/// URLs that are separated by commas, without their passwords. What is no URL is hidden whole.
pub(super) fn mask_urls(list: &str) -> String {
    let urls: Vec<_> = list.split(',').map(|url| mask_url(url.trim())).collect();
    urls.join(",")
}

fn mask_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        // sqlite:FILE and memory: have no place for a password.
        let plain = ["sqlite:", "memory:"]
            .iter()
            .any(|one| url.starts_with(one));
        return if plain || url.is_empty() { url } else { MASK }.to_owned();
    };
    // An @ behind the authority belongs to a password that was not encoded: then all before it is one.
    let (user, place) = rest.rsplit_once('@').unwrap_or(("", rest));
    let user = match user.split_once(':') {
        Some((name, _)) => format!("{name}:{MASK}@"),
        None if user.is_empty() => String::new(),
        None => format!("{user}@"),
    };
    let (place, parameters) = place.split_once('?').unwrap_or((place, ""));
    let parameters: Vec<_> = parameters
        .split_terminator('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((name, _)) if name.to_lowercase().contains("password") => format!("{name}={MASK}"),
            _ => parameter.to_owned(),
        })
        .collect();
    let mark = if parameters.is_empty() { "" } else { "?" };
    format!("{scheme}://{user}{place}{mark}{}", parameters.join("&"))
}

/// `name:secret` pairs that are separated by commas, without the secrets.
pub(super) fn mask_pairs(list: &str) -> String {
    let entries: Vec<_> = list
        .split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .map(|entry| match entry.split_once(':') {
            Some((name, _)) => format!("{name}:{MASK}"),
            None => MASK.to_owned(),
        })
        .collect();
    entries.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_of_urls_are_hidden_and_the_rest_is_shown() {
        for (url, shown) in [
            ("amqp://u:secret@h:5/%2f", "amqp://u:***@h:5/%2f"),
            (
                "amqp://u:secret@h, amqps://h2/v",
                "amqp://u:***@h,amqps://h2/v",
            ),
            ("amqp://u:sec@ret/@h", "amqp://u:***@h"),
            ("amqp://u@h?heartbeat=5", "amqp://u@h?heartbeat=5"),
            (
                "postgres://h/db?sslpassword=secret&a=b",
                "postgres://h/db?sslpassword=***&a=b",
            ),
            ("sqlite:/var/lib/a.db", "sqlite:/var/lib/a.db"),
            ("u:secret@h", "***"),
            ("", ""),
        ] {
            assert_eq!(mask_urls(url), shown);
        }
    }

    #[test]
    fn secrets_of_pairs_are_hidden_and_the_names_are_shown() {
        assert_eq!(mask_pairs("a:secret,b:sec:ret, secret,"), "a:***,b:***,***");
        assert_eq!(mask_pairs(""), "");
    }
}
