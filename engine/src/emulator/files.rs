//! The stage: files as they were put, and what PUT is told.
//!
//! Files lie on an S3 of the emulator's own. An encrypted stage hands out a key with each PUT, and
//! a file is opened by it when it is loaded; a digest that is not the file's refuses it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use aes::Aes128;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::generic_array::GenericArray;
use aes::cipher::{BlockDecrypt, BlockDecryptMut, KeyInit, KeyIvInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::answer::{Refused, compilation};

/// The bucket that all stages lie in.
pub const BUCKET: &str = "stages";
/// Every encrypted stage's master key: it protects nothing.
const MASTER: [u8; 16] = *b"emulator-master!";

/// A file on a stage.
#[derive(Debug, Clone)]
pub struct File {
    body: Bytes,
    metadata: BTreeMap<String, String>,
}

/// All stages' files, by path: `DB.SCHEMA.STAGE/folder/name`.
#[derive(Debug, Default)]
pub struct Files {
    by_path: BTreeMap<String, File>,
    /// Stages that hand out keys.
    encrypted: Vec<String>,
    keep: Option<PathBuf>,
}

impl Files {
    /// None yet; files are also kept under `keep` as they came.
    pub fn new(keep: Option<PathBuf>) -> Self {
        Self { keep, ..Self::default() }
    }

    /// Declares a stage.
    pub fn stage(&mut self, name: &str, encrypted: bool) {
        if encrypted && !self.encrypted.iter().any(|s| s == name) {
            self.encrypted.push(name.to_owned());
        }
    }

    /// Takes a file in.
    pub fn put(&mut self, path: String, body: Bytes, metadata: BTreeMap<String, String>) {
        if let Some(folder) = &self.keep {
            let flat = path.replace('/', "__");
            let kept = std::fs::create_dir_all(folder)
                .and_then(|()| std::fs::write(folder.join(&flat), &body))
                .and_then(|()| {
                    std::fs::write(folder.join(format!("{flat}.json")), json!(metadata).to_string())
                });
            if let Err(error) = kept {
                tracing::warn!(%error, "a staged file could not be kept");
            }
        }
        self.by_path.insert(path, File { body, metadata });
    }

    /// Files below a path.
    pub fn under(&self, path: &str) -> Vec<(String, usize)> {
        let found = self.by_path.iter().filter(|(p, _)| p.starts_with(path));
        found.map(|(path, file)| (path.clone(), file.body.len())).collect()
    }

    /// Deletes files below a path; how many there were.
    pub fn remove(&mut self, path: &str) -> usize {
        let before = self.by_path.len();
        self.by_path.retain(|p, _| !p.starts_with(path));
        before - self.by_path.len()
    }

    /// A file, opened.
    pub fn open(&self, path: &str) -> std::result::Result<Bytes, Refused> {
        let file = self.by_path.get(path).ok_or_else(|| compilation("no such file"))?;
        let value = |name: &str| file.metadata.get(name);
        let body = match (value("x-amz-key"), value("x-amz-iv")) {
            (Some(key), Some(iv)) => unseal(&file.body, key, iv)?,
            _ => file.body.clone(),
        };
        let digest = STANDARD.encode(Sha256::digest(&body));
        if value("sfc-digest").is_some_and(|said| *said != digest) {
            return Err(compilation("the file is not what its digest says"));
        }
        Ok(body)
    }

    /// What PUT is told: where the file goes, and by which key.
    pub fn upload(&self, endpoint: &str, stage: &str, folder: &str, query: &str) -> Value {
        let material = if self.encrypted.iter().any(|s| s == stage) {
            json!({"queryStageMasterKey": STANDARD.encode(MASTER), "queryId": query, "smkId": 7})
        } else {
            Value::Null
        };
        json!({
            "command": "UPLOAD", "src_locations": [], "parallel": 4, "threshold": 209_715_200,
            "autoCompress": false, "overwrite": true, "sourceCompression": "none",
            "encryptionMaterial": material, "queryId": query, "statementTypeId": 0x7100,
            "stageInfo": {
                "locationType": "S3", "location": format!("{BUCKET}/{stage}/{folder}"),
                "path": folder, "region": "us-east-1", "endPoint": endpoint,
                "isClientSideEncrypted": !material.is_null(),
                "creds": {
                    "AWS_KEY_ID": "emulator", "AWS_SECRET_KEY": "emulator", "AWS_TOKEN": "emulator",
                },
            },
        })
    }
}

fn unseal(body: &[u8], key: &str, iv: &str) -> std::result::Result<Bytes, Refused> {
    let broken = || compilation("the file can't be opened by its key");
    let mut key = STANDARD.decode(key).map_err(|_| broken())?;
    let iv = STANDARD.decode(iv).map_err(|_| broken())?;
    let master = Aes128::new_from_slice(&MASTER).map_err(|_| broken())?;
    for block in key.chunks_exact_mut(16) {
        master.decrypt_block(GenericArray::from_mut_slice(block));
    }
    let padding = usize::from(*key.last().ok_or_else(broken)?);
    key.truncate(key.len().saturating_sub(padding));
    let reader = cbc::Decryptor::<Aes128>::new_from_slices(&key, &iv).map_err(|_| broken())?;
    reader.decrypt_padded_vec_mut::<Pkcs7>(body).map(Bytes::from).map_err(|_| broken())
}
