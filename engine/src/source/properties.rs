//! From options to librdkafka's properties: what we fix, what users may set, where secrets come
//! from.
//!
//! Stands between `options` and `client`. It must never put a property's value into an error or a
//! log line.

use std::fs;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;

use super::options::Options;
use crate::error::{Error, Result};

/// Properties that are ours to set, and why.
const FIXED: &[(&str, &str)] = &[
    ("allow.auto.create.topics", "a typing error must not create a topic"),
    ("auto.commit.interval.ms", "offsets live in the lake's checkpoint alone"),
    ("auto.offset.reset", "a gap stops the line; it is never jumped over"),
    ("bootstrap.servers", "write `brokers`"),
    ("check.crcs", "records damaged on the way must be seen"),
    ("enable.auto.commit", "offsets live in the lake's checkpoint alone"),
    ("enable.auto.offset.store", "offsets live in the lake's checkpoint alone"),
    ("enable.partition.eof", "the line must know when a partition is at its end"),
    ("fetch.message.max.bytes", "it follows from `queue_bytes_max`"),
    ("group.id", "write `group_id`"),
    ("group.instance.id", "partitions are assigned by stored offsets, no group is joined"),
    ("group.protocol", "partitions are assigned by stored offsets, no group is joined"),
    ("isolation.level", "records of open and aborted transactions must not be read"),
    ("max.partition.fetch.bytes", "it follows from `queue_bytes_max`"),
    ("metadata.broker.list", "write `brokers`"),
    ("partition.assignment.strategy", "partitions are assigned by stored offsets"),
    ("queued.max.messages.kbytes", "write `queue_bytes_max`"),
    ("queued.min.messages", "write `queue_bytes_max`"),
    ("statistics.interval.ms", "lag is computed from them"),
    ("topic.blacklist", "write `topics` or `topic_pattern`"),
];

/// What a property's name holds if its value is a secret.
const SECRET_WORDS: [&str; 5] = ["password", "passphrase", "secret", "key.pem", "ssl_key"];

/// Bytes that one partition may always read ahead, so that a small bound can't stop it.
const PARTITION_QUEUE_BYTES_MIN: u64 = 1 << 20;
/// One fetch answer's part for one partition, at most; a larger record still comes whole.
const PARTITION_FETCH_BYTES_MAX: u64 = 4 << 20;

/// True where `name`'s value is a secret.
fn is_secret(name: &str) -> bool {
    let names_a_place = [".location", ".file", ".url"].iter().any(|end| name.ends_with(end));
    !names_a_place && SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// The properties of a client that reads about `partitions` partitions.
pub fn client_config(options: &Options, partitions: usize) -> Result<ClientConfig> {
    let mut config = ClientConfig::new();
    // Users' come first: what is fixed below could not be overruled even if a name were missed.
    for (name, value) in users_properties(options)? {
        config.set(name, value);
    }
    // Each partition has a queue of its own, and librdkafka bounds each queue.
    let queue_bytes = (options.queue_bytes_max / partitions.max(1) as u64)
        .max(PARTITION_QUEUE_BYTES_MIN)
        .min(i32::MAX as u64);
    // One fetch may come on top of a queue that is nearly full, and a compressed one grows: JSON
    // about tenfold. A sixteenth keeps that below the bound.
    let fetch_bytes = (queue_bytes / 16).clamp(64 << 10, PARTITION_FETCH_BYTES_MAX);
    config
        .set("bootstrap.servers", &options.brokers)
        .set("group.id", &options.group_id)
        .set("isolation.level", "read_committed")
        .set("auto.offset.reset", "error")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("check.crcs", "true")
        .set("allow.auto.create.topics", "false")
        .set("queued.max.messages.kbytes", (queue_bytes / 1024).to_string())
        .set("queued.min.messages", "1000000")
        .set("fetch.message.max.bytes", fetch_bytes.to_string())
        .set("statistics.interval.ms", "2000");
    for (name, value) in [
        ("fetch.queue.backoff.ms", "5"),
        ("fetch.wait.max.ms", "100"),
        ("reconnect.backoff.max.ms", "2000"),
        ("socket.keepalive.enable", "true"),
        ("client.id", "freshet"),
    ] {
        if config.get(name).is_none() {
            config.set(name, value);
        }
    }
    config.set_log_level(RDKafkaLogLevel::Info);
    Ok(config)
}

/// The users' properties with their values, each looked up where it lies.
fn users_properties(options: &Options) -> Result<Vec<(&str, String)>> {
    let mut found = Vec::new();
    for (name, value) in &options.properties {
        if is_secret(name) {
            return Err(Error::invalid(format!(
                "`{name}` in [kafka.properties] is a secret and must not stand in the file"
            ))
            .with_hint(format!(
                "write `{name}` in [kafka.properties_from_env] with an environment variable's \
                 name, or in [kafka.properties_from_file] with a path"
            )));
        }
        found.push((name.as_str(), value.clone()));
    }
    for (name, variable) in &options.properties_from_env {
        let value = std::env::var(variable).map_err(|_| {
            Error::invalid(format!(
                "`{name}` comes from the environment variable `{variable}`, which is not set"
            ))
            .with_hint(format!("export {variable} where freshet runs"))
        })?;
        found.push((name, value));
    }
    for (name, path) in &options.properties_from_file {
        let text = fs::read_to_string(path).map_err(|cause| {
            Error::invalid(format!("`{name}` comes from `{}`: {cause}", path.display()))
        })?;
        found.push((name, text.trim_end_matches(['\r', '\n']).to_owned()));
    }
    for (index, (name, _)) in found.iter().enumerate() {
        if let Some((_, reason)) = FIXED.iter().find(|(fixed, _)| fixed == name) {
            return Err(Error::invalid(format!("kafka property `{name}` can't be set: {reason}")));
        }
        if found[..index].iter().any(|(earlier, _)| earlier == name) {
            return Err(Error::invalid(format!("kafka property `{name}` is given twice")));
        }
    }
    Ok(found)
}

/// An error of making a client, without the value that caused it.
pub fn refused(cause: KafkaError) -> Error {
    match cause {
        KafkaError::ClientConfig(_, _, name, _) => {
            Error::invalid(format!("kafka property `{name}` is unknown, or its value is not taken"))
                .with_hint("names and values are those of librdkafka 2.12's CONFIGURATION.md")
        }
        other => Error::invalid(format!("kafka client: {other}"))
            .with_hint("look at [kafka.properties], the security settings above all"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(options: &Options) -> String {
        client_config(options, 1).unwrap_err().to_string()
    }

    #[test]
    fn secrets_and_fixed_properties_are_refused() {
        let mut options = Options::at("localhost:1");
        options.properties.insert("sasl.password".into(), "tulip".into());
        let text = message(&options);
        assert!(text.contains("properties_from_env") && !text.contains("tulip"), "{text}");
        for secret in ["ssl.key.password", "ssl.key.pem", "sasl.oauthbearer.client.secret"] {
            assert!(is_secret(secret), "{secret}");
        }
        for open in ["ssl.key.location", "ssl.ca.pem", "sasl.oauthbearer.token.endpoint.url"] {
            assert!(!is_secret(open), "{open}");
        }
        options.properties.clear();
        options.properties.insert("isolation.level".into(), "read_uncommitted".into());
        assert!(message(&options).contains("aborted"));
    }

    #[test]
    fn secrets_come_from_environment_and_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        fs::write(&path, "tulip\n").unwrap();
        let mut options = Options::at("localhost:1");
        options.properties_from_file.insert("sasl.password".into(), path);
        options.properties_from_env.insert("client.rack".into(), "PATH".into());
        let config = client_config(&options, 4).unwrap();
        assert_eq!(config.get("sasl.password"), Some("tulip"));
        assert!(config.get("client.rack").is_some());
        assert_eq!(config.get("queued.max.messages.kbytes"), Some("32768"));
        options.properties.insert("client.rack".into(), "a".into());
        assert!(message(&options).contains("twice"));
        options.properties_from_env.insert("sasl.username".into(), "FRESHET_NOT_SET".into());
        assert!(message(&options).contains("FRESHET_NOT_SET"));
    }

    #[test]
    fn a_bad_value_is_not_repeated() {
        let mut options = Options::at("localhost:1");
        options.properties.insert("socket.timeout.ms".into(), "tulip".into());
        let made = client_config(&options, 1).unwrap().create_native_config();
        let text = refused(made.map(|_| ()).unwrap_err()).to_string();
        assert!(text.contains("socket.timeout.ms") && !text.contains("tulip"), "{text}");
    }
}
