//! Logins: by password, access token, or a token signed by a key pair.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use pkcs8::Document;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Options, World};

/// What a login may not be.
type Why = (&'static str, &'static str);

const WRONG: Why = ("390100", "Incorrect username or password was specified.");
const WRONG_TOKEN: Why = ("390144", "JWT token is invalid.");

/// Answers a login request.
pub fn log_in(world: &mut World, place: &HashMap<String, String>, body: &Value) -> Value {
    let data = &body["data"];
    let text = |name: &str| data[name].as_str().unwrap_or_default();
    let mode = match text("AUTHENTICATOR") {
        "" => "SNOWFLAKE",
        named => named,
    };
    let proof = match mode {
        "SNOWFLAKE_JWT" => {
            signed(&world.options, text("TOKEN"), text("ACCOUNT_NAME"), text("LOGIN_NAME"))
        }
        "PROGRAMMATIC_ACCESS_TOKEN" => known(&world.options, text("TOKEN")),
        _ => known(&world.options, text("PASSWORD")),
    };
    let seen = json!({
        "authenticator": mode, "user": text("LOGIN_NAME"),
        "parameters": data["SESSION_PARAMETERS"],
    });
    world.sessions.logins.push(seen);
    if let Err((code, message)) = proof {
        return json!({"success": false, "code": code, "message": message, "data": null});
    }
    let (id, session) = world.sessions.open();
    let named = |name: &str| place.get(name).map(|n| n.trim_matches('"').to_uppercase());
    session.database = named("databaseName");
    session.schema = named("schemaName");
    json!({
        "success": true, "code": null, "message": null,
        "data": {
            "token": session.token, "masterToken": session.master, "sessionId": id,
            "validityInSeconds": 3_600, "masterValidityInSeconds": 14_400,
            "displayUserName": text("LOGIN_NAME"), "serverVersion": "9.0.0",
            "firstLogin": false, "remMeToken": null, "remMeValidityInSeconds": 0,
            "healthCheckInterval": 45, "parameters": [{"name": "AUTOCOMMIT", "value": true}],
            "sessionInfo": {
                "databaseName": session.database, "schemaName": session.schema,
                "warehouseName": "FRESHET",
                "roleName": "FRESHET",
            },
        },
    })
}

fn known(options: &Options, given: &str) -> std::result::Result<(), Why> {
    match &options.secret {
        Some(secret) if secret != given => Err(WRONG),
        _ if given.is_empty() => Err(WRONG),
        _ => Ok(()),
    }
}

/// A signed token must name the account, the user and the key, and not be over.
fn signed(
    options: &Options,
    token: &str,
    account: &str,
    user: &str,
) -> std::result::Result<(), Why> {
    let part = |n: usize| {
        let part = token.split('.').nth(n).and_then(|p| URL_SAFE_NO_PAD.decode(p).ok());
        part.ok_or(WRONG_TOKEN)
    };
    let claims: Value = serde_json::from_slice(&part(1)?).map_err(|_| WRONG_TOKEN)?;
    part(2)?;
    let subject = format!("{}.{}", account.to_uppercase(), user.to_uppercase());
    let issuer = claims["iss"].as_str().unwrap_or_default();
    let lives = claims["exp"].as_i64() > claims["iat"].as_i64();
    if claims["sub"] != subject.as_str() || !lives {
        return Err(WRONG_TOKEN);
    }
    let Some(key) = &options.public_key else {
        return if issuer.starts_with(&format!("{subject}.SHA256:")) {
            Ok(())
        } else {
            Err(WRONG_TOKEN)
        };
    };
    let (_, document) = Document::from_pem(key).map_err(|_| WRONG_TOKEN)?;
    let print = STANDARD.encode(Sha256::digest(document.as_bytes()));
    if issuer == format!("{subject}.SHA256:{print}") { Ok(()) } else { Err(WRONG_TOKEN) }
}
