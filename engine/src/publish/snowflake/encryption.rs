//! Client-side encryption of staged files, as Snowflake's drivers do it.
//!
//! A random key encrypts the file (AES, CBC, PKCS#7); the stage's master key encrypts that key (AES,
//! ECB, PKCS#7). It must never use a key or a vector twice.

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::generic_array::GenericArray;
use aes::cipher::{BlockEncrypt, BlockEncryptMut, KeyInit, KeyIvInit};
use aes::{Aes128, Aes256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::error::{Error, Result};

const BLOCK: usize = 16;

/// What the server hands out for one upload.
pub struct Material {
    master: Vec<u8>,
    query_id: String,
    key_id: String,
}

/// A file ready to leave: encrypted, or as it was.
pub struct Encrypted {
    /// Its bytes.
    pub body: Bytes,
    /// The file's key, wrapped, base64; empty for none.
    pub key: String,
    /// The vector, base64.
    pub iv: String,
    /// Which master key wrapped it: JSON.
    pub description: String,
}

impl Encrypted {
    /// Whether there is a key.
    pub fn is_encrypted(&self) -> bool {
        !self.key.is_empty()
    }
}

impl Material {
    /// From the answer to PUT; `None` where the stage encrypts by itself.
    pub fn of(value: &Value) -> Result<Option<Self>> {
        let one = value.as_array().map_or(value, |list| list.first().unwrap_or(&Value::Null));
        let Some(key) = one["queryStageMasterKey"].as_str().filter(|k| !k.is_empty()) else {
            return Ok(None);
        };
        let master = STANDARD.decode(key).map_err(|_| unusable())?;
        let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
        Ok(Some(Self { master, query_id: text(&one["queryId"]), key_id: text(&one["smkId"]) }))
    }
}

fn unusable() -> Error {
    Error::Unavailable { what: "the stage's key can't be used".to_owned(), cause: None }
}

/// Encrypts a file.
pub fn seal(material: &Material, body: &[u8]) -> Result<Encrypted> {
    let size = material.master.len();
    let mut key = vec![0u8; size];
    let mut iv = [0u8; BLOCK];
    getrandom::fill(&mut key).map_err(|_| Error::bug("the system gives no random bytes"))?;
    getrandom::fill(&mut iv).map_err(|_| Error::bug("the system gives no random bytes"))?;
    let sealed = match size {
        16 => cbc::Encryptor::<Aes128>::new_from_slices(&key, &iv)
            .map(|c| c.encrypt_padded_vec_mut::<Pkcs7>(body)),
        32 => cbc::Encryptor::<Aes256>::new_from_slices(&key, &iv)
            .map(|c| c.encrypt_padded_vec_mut::<Pkcs7>(body)),
        _ => return Err(unusable()),
    };
    let description = json!({
        "queryId": material.query_id, "smkId": material.key_id, "keySize": (size * 8).to_string(),
    });
    Ok(Encrypted {
        body: Bytes::from(sealed.map_err(|_| unusable())?),
        key: STANDARD.encode(wrap(&material.master, &key)?),
        iv: STANDARD.encode(iv),
        description: description.to_string(),
    })
}

/// A key, encrypted block by block.
fn wrap(master: &[u8], key: &[u8]) -> Result<Vec<u8>> {
    let padding = BLOCK - key.len() % BLOCK;
    let mut wrapped = key.to_vec();
    wrapped.extend(std::iter::repeat_n(u8::try_from(padding).unwrap_or(0), padding));
    for block in wrapped.chunks_exact_mut(BLOCK) {
        let block = GenericArray::from_mut_slice(block);
        match master.len() {
            16 => Aes128::new_from_slice(master).map_err(|_| unusable())?.encrypt_block(block),
            32 => Aes256::new_from_slice(master).map_err(|_| unusable())?.encrypt_block(block),
            _ => return Err(unusable()),
        }
    }
    Ok(wrapped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aes::cipher::{BlockDecrypt, BlockDecryptMut};

    /// The way back, as a reader of the stage would go it.
    fn open(master: &[u8], sealed: &Encrypted) -> Vec<u8> {
        let mut key = STANDARD.decode(&sealed.key).unwrap();
        for block in key.chunks_exact_mut(BLOCK) {
            let block = GenericArray::from_mut_slice(block);
            Aes128::new_from_slice(master).unwrap().decrypt_block(block);
        }
        let iv = STANDARD.decode(&sealed.iv).unwrap();
        let reader = cbc::Decryptor::<Aes128>::new_from_slices(&key[..16], &iv).unwrap();
        reader.decrypt_padded_vec_mut::<Pkcs7>(&sealed.body).unwrap()
    }

    #[test]
    fn a_sealed_file_opens_and_no_two_are_alike() {
        let master = [7u8; 16];
        let answer =
            json!({"queryStageMasterKey": STANDARD.encode(master), "queryId": "q", "smkId": 5});
        let material = Material::of(&json!([answer])).unwrap().unwrap();
        let body = vec![42u8; 100_000];
        let (one, two) = (seal(&material, &body).unwrap(), seal(&material, &body).unwrap());
        assert_eq!(open(&master, &one), body);
        assert_ne!(one.body, two.body);
        assert!(one.description.contains("\"smkId\":\"5\""), "{}", one.description);
    }

    #[test]
    fn a_stage_that_encrypts_by_itself_gives_no_key() {
        assert!(Material::of(&Value::Null).unwrap().is_none());
        assert!(Material::of(&json!({})).unwrap().is_none());
    }
}
