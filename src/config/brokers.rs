//! The addresses of the broker.
//!
//! What is written between `//` and `@` is a secret: no error and no `Debug` shows it.

use std::fmt;

use amq_protocol_uri::{AMQPScheme, AMQPUri, SASLMechanism};

/// At least one address; all are nodes of the same broker and name the same vhost.
#[derive(Clone, PartialEq)]
pub struct BrokerUrls(Vec<AMQPUri>);

impl BrokerUrls {
    /// Reads a list that is separated by commas.
    ///
    /// # Errors
    /// One sentence that names the address by its place in the list.
    pub fn parse(list: &str) -> Result<Self, String> {
        let mut urls = Vec::new();
        for (index, url) in list.split(',').enumerate() {
            let url = parse_one(url.trim())
                .map_err(|mistake| format!("address {} {mistake}", index + 1))?;
            urls.push(url);
        }
        let vhost = |url: &AMQPUri| url.vhost.clone();
        if urls
            .iter()
            .any(|url| Some(&url.vhost) != urls.first().map(vhost).as_ref())
        {
            return Err(
                "the addresses must all name the same vhost: one gateway serves one vhost"
                    .to_owned(),
            );
        }
        Ok(Self(urls))
    }

    /// The addresses, with their secrets.
    #[must_use]
    pub fn urls(&self) -> &[AMQPUri] {
        &self.0
    }

    /// The virtual host of all of them.
    #[must_use]
    pub fn vhost(&self) -> &str {
        self.0.first().map_or("/", |url| url.vhost.as_str())
    }

    /// Whether any address wants TLS.
    #[must_use]
    pub fn speak_tls(&self) -> bool {
        self.0.iter().any(|url| url.scheme == AMQPScheme::AMQPS)
    }

    /// Whether any address leaves the login to the client certificate.
    #[must_use]
    pub fn want_external(&self) -> bool {
        self.0.iter().any(is_external)
    }

    /// The user of the connections, when all addresses name the same one. Whose a client certificate is,
    /// only the broker knows.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        if self.want_external() {
            return None;
        }
        let name = |url: &AMQPUri| url.authority.userinfo.username.clone();
        let first = self.0.first()?;
        let same = self.0.iter().all(|url| name(url) == name(first));
        same.then_some(first.authority.userinfo.username.as_str())
    }
}

impl fmt::Display for BrokerUrls {
    /// Scheme, host, port and vhost of each address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, url) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            let (scheme, authority, vhost) = (&url.scheme, &url.authority, &url.vhost);
            let (host, port) = (&authority.host, authority.port);
            write!(f, "{separator}{scheme}://{host}:{port} vhost {vhost:?}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for BrokerUrls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BrokerUrls({self})")
    }
}

/// The parser would ignore others without a word.
const PARAMETERS: [&str; 3] = ["heartbeat=", "frame_max=", "auth_mechanism="];

fn is_external(url: &AMQPUri) -> bool {
    url.query.auth_mechanism == Some(SASLMechanism::External)
}

fn parse_one(url: &str) -> Result<AMQPUri, &'static str> {
    const MISTAKE: &str = "is not an amqp:// or amqps:// URL, such as \
                           amqp://user:password@host:5672/%2f (characters such as , / @ : in a \
                           user or password are percent-encoded)";
    let after_scheme = url
        .strip_prefix("amqp://")
        .or_else(|| url.strip_prefix("amqps://"))
        .ok_or(MISTAKE)?;
    let (_, parameters) = after_scheme.split_once('?').unwrap_or_default();
    let known = |parameter: &str| PARAMETERS.iter().any(|known| parameter.starts_with(known));
    if after_scheme.contains('#') || !parameters.split_terminator('&').all(known) {
        return Err(
            "has query parameters other than heartbeat, frame_max and auth_mechanism: use the options, \
             such as connect_timeout_seconds (? and # in a user or password are percent-encoded)",
        );
    }
    let mechanism = |parameter: &str| parameter.strip_prefix("auth_mechanism=").map(str::to_owned);
    let mechanism = parameters.split('&').find_map(mechanism);
    if mechanism.is_some_and(|name| name != "plain" && name != "external") {
        return Err("has an auth_mechanism that is neither plain nor external");
    }
    let mut parsed: AMQPUri = url.parse().map_err(|_| MISTAKE)?;
    let authority = after_scheme.split('/').next().unwrap_or_default();
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    if host.is_empty() || host.starts_with(':') {
        return Err("names no host");
    }
    if is_external(&parsed) && parsed.scheme != AMQPScheme::AMQPS {
        return Err("says auth_mechanism=external, which needs amqps://");
    }
    if is_external(&parsed) && authority.contains('@') {
        return Err(
            "names a user, and says by auth_mechanism=external that the client certificate does",
        );
    }
    if parsed.vhost.is_empty() {
        return Err("names an empty vhost: the default one, /, is written as %2f");
    }
    // The parser reads the host of such an address as "localhost".
    if let Some((address, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        address.clone_into(&mut parsed.authority.host);
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_order() {
        let list = "amqp://u:p@one/%2f, amqps://u:q@[::1]:7777/%2F?heartbeat=5,amqp://u:p@three";
        let urls = BrokerUrls::parse(list).expect("good addresses");
        let hosts: Vec<_> = urls
            .urls()
            .iter()
            .map(|url| (url.authority.host.as_str(), url.authority.port))
            .collect();
        assert_eq!(urls.urls()[1].query.heartbeat, Some(5));
        assert_eq!(hosts, [("one", 5672), ("::1", 7777), ("three", 5672)]);
        assert_eq!(urls.user(), Some("u"));
    }

    #[test]
    fn different_users_are_no_user() {
        let urls = BrokerUrls::parse("amqp://a:p@one,amqp://b:p@two").expect("good addresses");
        assert_eq!(urls.user(), None);
    }

    #[test]
    fn who_the_client_certificate_names_is_not_known() {
        let urls = BrokerUrls::parse("amqps://h/%2f?auth_mechanism=external");
        let urls = urls.expect("a good address");
        assert!(urls.want_external() && urls.speak_tls());
        assert_eq!(urls.user(), None);
        let urls = BrokerUrls::parse("amqps://u:p@h/%2f?auth_mechanism=plain&heartbeat=5");
        let urls = urls.expect("a good address");
        assert!(!urls.want_external());
        assert_eq!(urls.user(), Some("u"));
    }

    #[test]
    fn mistakes_are_told_without_the_secret() {
        for bad in [
            "",
            "http://u:secret@h",
            "amqp:secret",
            "u:secret@h",
            "amqp://u:secret@",
            "amqp://u:secret@:5672/",
            "amqp://u:secret@h:notaport/",
            "amqp://u:secret@h,",
            "amqp://u:secret@h/",
            "amqp://u:secret@h/%2f?heartbeat=x",
            "amqp://u:secret@h/%2f?heartbeat=1&verify=none",
            "amqp://u:secret#@h/",
            "amqp://u:secret@h/a,amqp://u:secret@h/b",
            "amqps://u:secret@h/%2f?auth_mechanism=external",
            "amqp://h/%2f?auth_mechanism=external",
            "amqps://h/%2f?auth_mechanism=amqplain",
            "amqps://h/%2f?auth_mechanism=EXTERNAL",
        ] {
            let mistake = BrokerUrls::parse(bad).expect_err(bad);
            assert!(
                mistake.contains("address") && !mistake.contains("secret"),
                "{mistake}"
            );
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        let urls = BrokerUrls::parse("amqp://u:secret@h").expect("a good address");
        assert!(!format!("{urls:?} {urls}").contains("secret"));
    }
}
