//! Files to a stage: PUT as the server says it, to S3, Azure, Google or the emulator's store.
//!
//! Where the server hands out a key the file is encrypted before it leaves, as Snowflake's own
//! drivers do it; a stage of kind SNOWFLAKE_SSE hands out none. It must never log an address: it
//! may be signed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{Attribute, Attributes, ObjectStore, PutOptions};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::encryption::{self, Encrypted, Material};
use crate::error::{Error, Result};

/// Uploads one file under a name; `answer` is what the server said to PUT.
pub async fn upload(
    client: &reqwest::Client,
    answer: &Value,
    name: &str,
    body: Bytes,
) -> Result<()> {
    let digest = STANDARD.encode(Sha256::digest(&body));
    let sealed = match Material::of(&answer["encryptionMaterial"])? {
        Some(material) => encryption::seal(&material, &body)?,
        None => {
            Encrypted { body, key: String::new(), iv: String::new(), description: String::new() }
        }
    };
    let stage = &answer["stageInfo"];
    match stage["locationType"].as_str().unwrap_or_default() {
        "S3" => to_s3(stage, name, sealed, digest).await,
        "AZURE" => to_azure(client, stage, name, sealed, digest).await,
        "GCS" => to_google(client, stage, name, sealed, digest).await,
        other => Err(Error::invalid(format!("the stage lies on \"{other}\", which is not known"))
            .with_hint("use an internal stage of Snowflake")),
    }
}

/// `bucket/prefix/` and a name to bucket and path.
fn place<'a>(stage: &'a Value, name: &str) -> (&'a str, String) {
    let location = stage["location"].as_str().unwrap_or_default();
    let (bucket, prefix) = location.split_once('/').unwrap_or((location, ""));
    (bucket, format!("{}/{name}", prefix.trim_end_matches('/')).trim_start_matches('/').to_owned())
}

async fn to_s3(stage: &Value, name: &str, sealed: Encrypted, digest: String) -> Result<()> {
    let (bucket, path) = place(stage, name);
    let text = |of: &str| stage["creds"][of].as_str().unwrap_or_default().to_owned();
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(stage["region"].as_str().unwrap_or("us-east-1"))
        .with_access_key_id(text("AWS_KEY_ID"))
        .with_secret_access_key(text("AWS_SECRET_KEY"))
        .with_token(text("AWS_TOKEN"));
    if let Some(endpoint) = stage["endPoint"].as_str().filter(|e| !e.is_empty()) {
        let whole = if endpoint.contains("://") {
            endpoint.to_owned()
        } else {
            format!("https://{endpoint}")
        };
        builder = builder.with_allow_http(whole.starts_with("http:")).with_endpoint(whole);
    }
    let store = builder.build().map_err(|e| Error::unavailable("the stage on S3", e))?;
    let mut attributes = Attributes::new();
    let mut add = |name: &'static str, value: String| {
        attributes.insert(Attribute::Metadata(name.into()), value.into());
    };
    add("sfc-digest", digest);
    if sealed.is_encrypted() {
        add("x-amz-key", sealed.key);
        add("x-amz-iv", sealed.iv);
        add("x-amz-matdesc", sealed.description);
    }
    let options = PutOptions { attributes, ..PutOptions::default() };
    let put = store.put_opts(&Path::from(path), sealed.body.into(), options).await;
    // The cause may quote a signed address.
    put.map(|_| ()).map_err(|_| lost("S3"))
}

/// What Azure and Google keep of an encrypted file's key.
fn encryption_data(sealed: &Encrypted) -> String {
    json!({
        "EncryptionMode": "FullBlob",
        "WrappedContentKey": {
            "KeyId": "symmKey1", "EncryptedKey": sealed.key, "Algorithm": "AES_CBC_256",
        },
        "EncryptionAgent": {"Protocol": "1.0", "EncryptionAlgorithm": "AES_CBC_256"},
        "ContentEncryptionIV": sealed.iv,
        "KeyWrappingMetadata": {"EncryptionLibrary": "Java 5.3.0"},
    })
    .to_string()
}

async fn to_azure(
    client: &reqwest::Client,
    stage: &Value,
    name: &str,
    sealed: Encrypted,
    digest: String,
) -> Result<()> {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let (container, path) = place(stage, name);
    let endpoint = text(&stage["endPoint"]);
    let endpoint = if endpoint.is_empty() { "blob.core.windows.net".to_owned() } else { endpoint };
    let sas = text(&stage["creds"]["AZURE_SAS_TOKEN"]);
    let account = text(&stage["storageAccount"]);
    let url =
        format!("https://{account}.{endpoint}/{container}/{path}?{}", sas.trim_start_matches('?'));
    let mut request =
        client.put(url).header("x-ms-blob-type", "BlockBlob").header("x-ms-meta-sfcdigest", digest);
    if sealed.is_encrypted() {
        request = request
            .header("x-ms-meta-encryptiondata", encryption_data(&sealed))
            .header("x-ms-meta-matdesc", &sealed.description);
    }
    put(request, sealed.body, "Azure").await
}

async fn to_google(
    client: &reqwest::Client,
    stage: &Value,
    name: &str,
    sealed: Encrypted,
    digest: String,
) -> Result<()> {
    let (bucket, path) = place(stage, name);
    let mut request = match stage["presignedUrl"].as_str().filter(|u| !u.is_empty()) {
        Some(url) => client.put(url),
        None => {
            let token = stage["creds"]["GCS_ACCESS_TOKEN"].as_str().unwrap_or_default();
            client.put(format!("https://storage.googleapis.com/{bucket}/{path}")).bearer_auth(token)
        }
    };
    request = request.header("x-goog-meta-sfc-digest", digest);
    if sealed.is_encrypted() {
        request = request
            .header("x-goog-meta-encryptiondata", encryption_data(&sealed))
            .header("x-goog-meta-matdesc", &sealed.description);
    }
    put(request, sealed.body, "Google").await
}

async fn put(request: reqwest::RequestBuilder, body: Bytes, kind: &str) -> Result<()> {
    let sent = request.body(body).send().await.map_err(|_| lost(kind))?;
    if sent.status().is_success() {
        return Ok(());
    }
    let what = format!("the stage on {kind} answers {} to an upload", sent.status());
    Err(Error::Unavailable { what, cause: None })
}

fn lost(kind: &str) -> Error {
    Error::Unavailable { what: format!("an upload to the stage on {kind} failed"), cause: None }
}
