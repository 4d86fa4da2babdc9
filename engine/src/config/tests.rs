//! What is refused, word for word and with its place; what a good file means.

use std::path::Path;

use super::Config;
use super::literal::refuse_text;
use super::parse::parse;
use super::postgres::PostgresOptions;
use super::secrets::Secret;

const GOOD: &str = "[kafka]\nbrokers = \"b:9092\"\ntopics = [\"t\"]\n[lake]\nurl = \"l\"\n";

fn refusal(text: &str) -> String {
    parse(Path::new("f.toml"), text).unwrap_err().to_string()
}

fn with(more: &str) -> String {
    format!("{GOOD}{more}")
}

#[test]
fn unknown_keys_have_a_place_and_a_suggestion() {
    let said = refusal("[kafka]\n  brokerz = \"b\"\n");
    let wanted = "f.toml:2:3: unknown key `brokerz` in [kafka]: did you mean `brokers`?\n  hint: \
                  known keys: ";
    assert!(said.starts_with(wanted), "{said}");
    for (more, wanted) in [
        ("[kafak]\n", "f.toml:6:2: unknown key `kafak`: did you mean `kafka`?"),
        ("[epoch]\nzzzzzz = 1\n", "f.toml:7:1: unknown key `zzzzzz` in [epoch]\n"),
        (
            "[log]\nfromat = \"json\"\n",
            "f.toml:7:1: unknown key `fromat` in [log]: did you mean `format`?",
        ),
        (
            "[connector]\nurl = \"http://x\"\n[connector.setings]\n",
            "f.toml:8:12: unknown key `setings` in [connector]: did you mean `settings`?",
        ),
    ] {
        let said = refusal(&with(more));
        assert!(said.starts_with(wanted), "{said}");
    }
}

#[test]
fn wrong_and_missing_values_have_a_place() {
    for (text, wanted) in [
        (
            with("[log]\nformat = \"jason\"\n"),
            "f.toml:7:10: unknown value `jason` for `format`: did you mean `json`?\n  hint: known \
             values: human, json",
        ),
        (
            with("[epoch]\nrows_max = \"many\"\n"),
            "f.toml:7:12: `rows_max`: invalid type: string \"many\", expected a \
             whole number, not negative",
        ),
        (
            with("[epoch]\nrows_max = -1\n"),
            "f.toml:7:12: `rows_max`: invalid value: integer `-1`, expected a \
             whole number, not negative",
        ),
        (with("[postgres]\npassword_env = \"X\"\n"), "f.toml:6:1: `url` is missing in [postgres]"),
        (
            "[lake]\nurl = \"l\"\n".into(),
            "f.toml:1:1: [kafka] is missing\n  hint: say where records",
        ),
        (
            "[kafka]\nbrokers = \"b\"\n".into(),
            "f.toml:1:1: [lake] is missing\n  hint: say where tables",
        ),
        ("[lake]\n[kafka]\nbrokers = \"b\"\n".into(), "f.toml:1:1: `url` is missing in [lake]"),
        ("kafka = 3\n".into(), "f.toml:1:9: `kafka`: invalid type: integer `3`, expected a table"),
        ("[kafka\n".into(), "f.toml:1:7: no valid TOML: "),
        (
            "[kafka]\ntopics = [\"ä\", 5]\n".into(),
            "f.toml:2:16: `topics`: invalid type: integer `5`, expected a text in quotes",
        ),
    ] {
        let said = refusal(&text);
        assert!(said.starts_with(wanted), "{said}\nwanted {wanted}");
    }
}

#[test]
fn secrets_are_refused_without_being_shown() {
    for (more, place, hint) in [
        (
            "[kafka.properties]\n\"sasl.password\" = \"hunter2\"\n",
            "f.toml:7:19: `sasl.password` in [kafka.properties]",
            "properties_from_env",
        ),
        (
            "[kafka.properties]\n\"sasl.jaas.config\" = 'x username=\"u\" password=\"hunter2\";'\n",
            "f.toml:7:22",
            "properties_from_env",
        ),
        (
            "[postgres]\nurl = \"postgresql://bank:hunter2@h/db\"\n",
            "f.toml:7:7: `url` in [postgres]",
            "password_env",
        ),
        ("[postgres]\nurl = \"host=h password = hunter2\"\n", "f.toml:7:7", "password_file"),
        ("[postgres]\npassword = \"hunter2\"\n", "f.toml:7:12", "password_env"),
        ("[connector]\nurl = \"http://u:hunter2@h\"\n", "f.toml:7:7", "take it out"),
        (
            "[connector.settings]\n\"database.password\" = \"hunter2\"\n",
            "f.toml:7:23",
            "${env:PGPASSWORD}",
        ),
        ("s3_secret_access_key = \"hunter2\"\n", "f.toml:6:24", "AWS_SECRET_ACCESS_KEY"),
        ("[models.vars]\napi_token = \"hunter2\"\n", "f.toml:7:13", "env_var"),
        ("[models.vars]\nhosts = [{ url = \"x://u:hunter2@h\" }]\n", "f.toml:7:18", "env_var"),
    ] {
        let said = refusal(&with(more));
        assert!(said.starts_with(place) && said.contains("holds a secret"), "{said}");
        assert!(said.contains(hint) && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn what_only_names_a_secret_is_fine() {
    let more = "[kafka.properties]\n\"ssl.key.location\" = \"/k\"\n\
        \"sasl.oauthbearer.token.endpoint.url\" = \"https://h/token\"\n\
        [kafka.properties_from_env]\n\"sasl.password\" = \"KAFKA_PASSWORD\"\n\
        [postgres]\nurl = \"postgresql://bank@h/db\"\npassword_env = \"BANK\"\n\
        [connector]\nurl = \"http://h:1\"\n\
        [connector.settings]\n\"database.password\" = \"${env:PGPASSWORD}\"\n";
    parse(Path::new("f.toml"), &with(more)).unwrap();
    assert!(refuse_text("--postgres", "postgresql://bank@h:5432/db?sslmode=disable").is_ok());
    assert!(refuse_text("--postgres", "postgresql://bank@h/db?password=x").is_err());
    assert!(PostgresOptions::at("postgresql://bank:x@h/db").is_err());
}

#[test]
fn relative_paths_start_at_the_files_folder() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("freshet.toml");
    let more = "[kafka.properties_from_file]\n\"ssl.key.password\" = \"key\"\n\
        [postgres]\nurl = \"host=h user=u\"\npassword_file = \"secret\"\n\
        [memory]\ncold_dir = \"cold\"\n\
        [models.vars]\nday = 2026-01-02\nrate = 0.5\nkinds = [\"A\", 1]\n";
    std::fs::write(&file, with(more)).unwrap();
    let config = Config::load(&file).unwrap();
    assert_eq!(Path::new(&config.lake.url), folder.path().join("l"));
    assert_eq!(config.models.dir, folder.path().join("models"));
    let key = &config.kafka.properties_from_file["ssl.key.password"];
    assert_eq!(*key, folder.path().join("key"));
    assert_eq!(Path::new(&config.memory.cold_dir), folder.path().join("cold"));
    assert_eq!(config.epoch.spill_dir, "", "the system's own");
    let vars = serde_json::to_string(&config.models.vars).unwrap();
    assert_eq!(vars, r#"{"day":"2026-01-02","kinds":["A",1],"rate":0.5}"#);
    let postgres = config.postgres.unwrap();
    assert_eq!(postgres.password_file, Some(folder.path().join("secret")));
    let missing = postgres.client().unwrap_err().to_string();
    assert!(missing.contains("secret` can't be read"), "{missing}");
    std::fs::write(folder.path().join("secret"), "hunter2\n").unwrap();
    let client = postgres.client().unwrap();
    assert_eq!(client.get_password(), Some(&b"hunter2"[..]));
    assert_eq!(client.get_user(), Some("u"));
    std::fs::write(&file, with("").replace("\"l\"", "\"s3://b/p\"")).unwrap();
    assert_eq!(Config::load(&file).unwrap().lake.url, "s3://b/p");
    let absent = Config::load(&folder.path().join("none.toml")).unwrap_err();
    assert!(absent.to_string().contains("--config FILE"));
    assert_eq!(absent.exit_code(), 2);
}

#[test]
fn secrets_print_as_stars() {
    let secret = Secret::from_env("PATH").unwrap();
    assert_eq!(format!("{secret} {secret:?}"), "*** ***");
    assert!(!secret.expose().is_empty());
    let unset = Secret::from_env("FRESHET_TEST_UNSET").unwrap_err().to_string();
    assert!(unset.contains("FRESHET_TEST_UNSET is not set"), "{unset}");
    let twice = Secret::named("[postgres] password", Some("A"), Some(Path::new("b")));
    assert!(twice.unwrap_err().to_string().contains("named twice"));
}
