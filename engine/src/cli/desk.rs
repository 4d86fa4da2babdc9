//! What the commands of `freshet publish` stand on: a target with its secrets, a lake, a project.

use super::args::PublishTarget;
use crate::checkpoint::decision::Decision;
use crate::checkpoint::recover;
use crate::config::Config;
use crate::config::secrets::Secret;
use crate::error::{Error, Result};
use crate::lake::store::Store;
use crate::pipeline::catalog::Catalog;
use crate::pipeline::load::take_imports;
use crate::pipeline::project;
use crate::pipeline::publishing::prepare;
use crate::publish::attempt::Attempt;
use crate::publish::contract::Contract;
use crate::publish::lakeside;
use crate::publish::options::{Authenticator, Snowflake};
use crate::publish::snowflake::credentials::Credentials;
use crate::publish::target::Target;
use crate::transform::planned::Planned;

/// Every configured target, with its secrets.
///
/// # Errors
/// `Invalid` for a secret that is not where the configuration says.
pub fn targets(config: &Config) -> Result<Vec<Target>> {
    let mut targets = Vec::new();
    if let Some(options) = &config.publish.snowflake {
        targets.push(Target::Snowflake(Box::new(options.clone()), credentials(options)?));
    }
    if let Some(options) = &config.publish.local {
        targets.push(Target::Local(options.clone()));
    }
    Ok(targets)
}

fn credentials(options: &Snowflake) -> Result<Credentials> {
    let named = |what: &str, env: &Option<String>, file: &Option<std::path::PathBuf>| {
        Secret::named(&format!("[publish.snowflake] {what}"), env.as_deref(), file.as_deref())
    };
    let missing = |what: &str| {
        Error::invalid(format!("[publish.snowflake] names no {what}"))
            .with_hint(format!("name it by {what}_env or {what}_file"))
    };
    match options.authenticator {
        Authenticator::KeyPair => {
            let key = named("private_key", &options.private_key_env, &options.private_key_file)?;
            let key = key.ok_or_else(|| missing("private_key"))?;
            let passphrase =
                named("passphrase", &options.passphrase_env, &options.passphrase_file)?;
            Credentials::key_pair(key.expose(), passphrase.as_ref().map(Secret::expose))
        }
        Authenticator::Token | Authenticator::Password => {
            let secret = named("secret", &options.secret_env, &options.secret_file)?;
            let secret = secret.ok_or_else(|| missing("secret"))?.expose().to_owned();
            Ok(match options.authenticator {
                Authenticator::Token => Credentials::Token(secret),
                _ => Credentials::Password(secret),
            })
        }
    }
}

/// The account that SNOWFLAKE_* name, for a configuration without one.
fn from_environment() -> Result<Option<Target>> {
    let of = |name: &str| std::env::var(format!("SNOWFLAKE_{name}")).ok().filter(|v| !v.is_empty());
    let (Some(account), Some(user)) = (of("ACCOUNT"), of("USER")) else { return Ok(None) };
    let mut options = Snowflake { url: None, user, ..Snowflake::at(&account, "") };
    for (name, value) in [
        ("ROLE", &mut options.role),
        ("WAREHOUSE", &mut options.warehouse),
        ("DATABASE", &mut options.database),
        ("SCHEMA", &mut options.schema),
    ] {
        if let Some(set) = of(name) {
            *value = set;
        }
    }
    let named = |name: &str| of(name).map(|_| format!("SNOWFLAKE_{name}"));
    options.passphrase_env = named("PRIVATE_KEY_PASSPHRASE");
    options.private_key_file = of("PRIVATE_KEY_PATH").map(Into::into);
    options.private_key_env = named("PRIVATE_KEY");
    options.secret_env = named("TOKEN").or_else(|| named("PASSWORD"));
    options.authenticator = match (&options.private_key_file, &options.private_key_env, of("TOKEN"))
    {
        (None, None, Some(_)) => Authenticator::Token,
        (None, None, None) => Authenticator::Password,
        _ => Authenticator::KeyPair,
    };
    let credentials = credentials(&options)?;
    Ok(Some(Target::Snowflake(Box::new(options), credentials)))
}

pub fn chosen(config: &Config, wanted: &PublishTarget) -> Result<Target> {
    let mut all = targets(config)?;
    if wanted.target.as_deref() == Some("snowflake")
        && config.publish.snowflake.is_none()
        && let Some(target) = from_environment()?
    {
        return Ok(target);
    }
    if all.is_empty() {
        return Err(Error::invalid("freshet.toml has no target to publish to")
            .with_hint("give it [publish.snowflake] or [publish.local]"));
    }
    match &wanted.target {
        Some(name) => all.into_iter().find(|t| t.name() == name).ok_or_else(|| {
            Error::invalid(format!("freshet.toml has no [publish.{name}]"))
                .with_hint("targets are `snowflake` and `local`")
        }),
        None if all.len() > 1 => Err(Error::invalid("there are several targets")
            .with_hint("say which: --target snowflake or --target local")),
        None => Ok(all.remove(0)),
    }
}

/// A lake, a project planned on it, and a target.
pub struct Desk {
    pub store: Store,
    pub planned: Planned,
    pub target: Target,
    pub contracts: Vec<Contract>,
    pub latest: Option<Decision>,
}

impl Desk {
    pub async fn open(config: &Config, wanted: &PublishTarget) -> Result<Self> {
        let target = chosen(config, wanted)?;
        let store = Store::open_existing(&config.lake)?;
        let project = project::load(&config.models.dir, &config.models.vars)?;
        let catalog = Catalog::of(&project, &config.envelope)?;
        let mut planned = Planned::new(&project, &catalog.columns()).await?;
        take_imports(&store, &mut planned).await?;
        let (target, contracts) = prepare(&target, &project, &planned, &catalog)?;
        let latest = recover::latest(&store).await?;
        Ok(Self { store, planned, target, contracts, latest })
    }

    pub fn decision(&self) -> Result<&Decision> {
        let built = self.latest.as_ref().filter(|d| !d.models.is_empty());
        built.ok_or_else(|| {
            Error::invalid(format!("the lake {} has no models yet", self.store.name()))
                .with_hint("run `freshet catch-up` first")
        })
    }

    pub async fn attempt(&self) -> Result<Attempt> {
        let lake = lakeside::identity(&self.store).await?;
        let generation = self.latest.as_ref().map_or(0, |d| d.generation);
        self.target.attempt(self.store.clone(), lake, generation, self.contracts.clone())
    }
}
