//! One object_store client for the whole lake: a local folder or S3.
//!
//! Paths are relative to the lake's root. It tells a missing object and an existing one from a
//! failure; what a failure means to a running epoch is its caller's to say.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
    UpdateVersion,
};

use super::options::Options;
use crate::error::{Error, Result};

/// What became of a create-if-absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The object is new, and ours.
    New,
    /// An object was there already; it may still be ours (a lost answer).
    Exists,
}

/// The lake's storage.
#[derive(Debug, Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    name: String,
    /// The name, and the endpoint where one was configured: for errors.
    place: String,
    folder: Option<PathBuf>,
}

impl Store {
    /// Opens a folder (made if absent) or a bucket; S3 credentials come from the environment.
    pub fn open(options: &Options) -> Result<Self> {
        match options.url.strip_prefix("s3://") {
            Some(rest) => Self::open_s3(options, rest),
            None => Self::open_folder(options.url.strip_prefix("file://").unwrap_or(&options.url)),
        }
    }

    /// Opens a lake that is there already: a folder that is not is refused, not made.
    pub fn open_existing(options: &Options) -> Result<Self> {
        let folder = options.url.strip_prefix("file://").unwrap_or(&options.url);
        if !options.url.starts_with("s3://") && !std::path::Path::new(folder).is_dir() {
            return Err(Error::invalid(format!("there is no lake at \"{folder}\""))
                .with_hint("name another with --lake, or in [lake] of freshet.toml"));
        }
        Self::open(options)
    }

    fn open_folder(folder: &str) -> Result<Self> {
        let made = std::fs::create_dir_all(folder).and_then(|()| std::fs::canonicalize(folder));
        let root = made.map_err(|e| {
            Error::unavailable(format!("cannot make the lake folder \"{folder}\""), e)
        })?;
        let objects = LocalFileSystem::new_with_prefix(&root).map_err(|e| {
            Error::unavailable(format!("cannot open the lake folder \"{folder}\""), e)
        })?;
        Ok(Self {
            objects: Arc::new(objects.with_automatic_cleanup(false)),
            name: root.display().to_string(),
            place: root.display().to_string(),
            folder: Some(root),
        })
    }

    fn open_s3(options: &Options, rest: &str) -> Result<Self> {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let mut builder =
            AmazonS3Builder::from_env().with_bucket_name(bucket).with_region(&options.s3_region);
        if let Some(endpoint) = &options.s3_endpoint {
            builder =
                builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http:"));
        }
        let s3 = builder.build().map_err(|e| {
            Error::invalid(format!("lake.url \"{}\": {e}", options.url)).with_hint(
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, and \
                 lake.s3_endpoint for MinIO",
            )
        })?;
        Ok(Self {
            objects: Arc::new(PrefixStore::new(s3, prefix)),
            place: match &options.s3_endpoint {
                Some(endpoint) => format!("{} at {endpoint}", options.url),
                None => options.url.clone(),
            },
            name: options.url.trim_end_matches('/').to_owned(),
            folder: None,
        })
    }

    /// Where it lies, as a person would write it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder, where it is one.
    pub fn folder(&self) -> Option<&PathBuf> {
        self.folder.as_ref()
    }

    /// The client itself, rooted at the lake.
    pub fn objects(&self) -> Arc<dyn ObjectStore> {
        self.objects.clone()
    }

    /// Proves that create-if-absent holds here: without it nothing else does.
    pub async fn probe(&self) -> Result<()> {
        let path = format!("_freshet/probe/{}", uuid::Uuid::new_v4());
        let first = self.create(&path, Bytes::from_static(b"probe")).await?;
        let second = self.create(&path, Bytes::from_static(b"probe")).await?;
        self.delete(&path).await?;
        if (first, second) == (Created::New, Created::Exists) {
            return Ok(());
        }
        Err(Error::invalid(format!("{} ignores create-if-absent", self.name)).with_hint(
            "the lake needs conditional PUT (If-None-Match): use a MinIO of 2024-08 or later, or S3",
        ))
    }

    /// Writes an object, replacing any.
    pub async fn put(&self, path: &str, body: Bytes) -> Result<()> {
        match self.objects.put(&Path::from(path), PutPayload::from_bytes(body)).await {
            Ok(_) => Ok(()),
            Err(e) => Err(self.failure("write", path, e)),
        }
    }

    /// Writes an object unless one is there.
    pub async fn create(&self, path: &str, body: Bytes) -> Result<Created> {
        let options = PutOptions::from(PutMode::Create);
        match self.objects.put_opts(&Path::from(path), body.into(), options).await {
            Ok(_) => Ok(Created::New),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(Created::Exists),
            Err(object_store::Error::Precondition { .. }) => Ok(Created::Exists),
            Err(e) => Err(self.failure("write", path, e)),
        }
    }

    /// Replaces the object whose tag we read; `false` if it changed since.
    pub async fn replace(&self, path: &str, body: Bytes, tag: Option<String>) -> Result<bool> {
        let version = UpdateVersion { e_tag: tag, version: None };
        let options = PutOptions::from(PutMode::Update(version));
        match self.objects.put_opts(&Path::from(path), body.into(), options).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::Precondition { .. }) => Ok(false),
            Err(e) => Err(self.failure("write", path, e)),
        }
    }

    /// An object's bytes; `None` if there is none.
    pub async fn get(&self, path: &str) -> Result<Option<Bytes>> {
        Ok(self.get_tagged(path).await?.map(|(body, _)| body))
    }

    /// An object's bytes and tag; `None` if there is none.
    pub async fn get_tagged(&self, path: &str) -> Result<Option<(Bytes, Option<String>)>> {
        let found = self.objects.get_opts(&Path::from(path), GetOptions::default()).await;
        let result = match found {
            Ok(result) => result,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(e) => return Err(self.failure("read", path, e)),
        };
        let tag = result.meta.e_tag.clone();
        let body = result.bytes().await.map_err(|e| self.failure("read", path, e))?;
        Ok(Some((body, tag)))
    }

    /// A part of an object, shorter where the object ends in it; `None` if there is none.
    pub async fn get_range(&self, path: &str, range: Range<u64>) -> Result<Option<Bytes>> {
        match self.objects.get_range(&Path::from(path), range).await {
            Ok(part) => Ok(Some(part)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(self.failure("read", path, e)),
        }
    }

    /// Objects under a folder, sorted by path.
    pub async fn list(&self, folder: &str) -> Result<Vec<ObjectMeta>> {
        let found: std::result::Result<Vec<ObjectMeta>, _> =
            self.objects.list(Some(&Path::from(folder))).try_collect().await;
        let mut found = found.map_err(|e| self.failure("list", folder, e))?;
        found.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(found)
    }

    /// Deletes an object; a missing one is fine.
    pub async fn delete(&self, path: &str) -> Result<()> {
        match self.objects.delete(&Path::from(path)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(self.failure("delete", path, e)),
        }
    }

    fn failure(&self, verb: &str, path: &str, error: object_store::Error) -> Error {
        let text = deepest(&error);
        let lower = text.to_lowercase();
        let hint = if lower.contains("no space left") {
            "; the disk is full: free some space, then start again: nothing decided is lost"
        } else if lower.contains("read-only") || lower.contains("permission denied") {
            "; the lake must be writable by this user"
        } else if lower.contains("connection refused") || lower.contains("timed out") {
            "; is the server up, and is lake.s3_endpoint right?"
        } else {
            ""
        };
        let what = format!("cannot {verb} \"{path}\" in the lake {}: {text}{hint}", self.place);
        Error::Unavailable { what, cause: Some(Box::new(error)) }
    }
}

/// The innermost cause says what happened; the ones around it only where.
fn deepest(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
