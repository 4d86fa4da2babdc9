//! Deletion vectors: which rows of a file are gone, in Delta's binary form.
//!
//! Small vectors travel inside the log entry; the larger ones of a table and epoch share a file, since
//! requests are what an object store costs. A file has a bound: some readers fetch it whole for each
//! vector. A vector only ever grows.

use bytes::{BufMut, Bytes, BytesMut};
use deltalake::kernel::{DeletionVectorDescriptor, StorageType};
use roaring::{RoaringBitmap, RoaringTreemap};

use super::store::Store;
use crate::error::{Error, Result};

const MAGIC: u32 = 1_681_511_377;
const FILE_VERSION: u8 = 1;
/// Above this a vector gets a file of its own: the log entry is decided and stored twice.
const INLINE_BYTES_MAX: usize = 2048;

/// A file takes no further vector once it has so many bytes.
const FILE_BYTES_FULL: usize = 128 << 10;

/// The vectors of one table and epoch: named one by one, and written in few files.
#[derive(Debug)]
pub struct Packer<'t> {
    table: &'t str,
    open: Option<(uuid::Uuid, BytesMut)>,
    files: Vec<(String, Bytes)>,
}

impl<'t> Packer<'t> {
    /// No vector yet.
    pub fn new(table: &'t str) -> Self {
        Self { table, open: None, files: Vec::new() }
    }

    /// Takes a vector in; answers how a log entry names it.
    pub fn add(&mut self, rows: &RoaringBitmap) -> Result<DeletionVectorDescriptor> {
        let map = RoaringTreemap::from_bitmaps([(0, rows.clone())]);
        let mut data = BytesMut::with_capacity(map.serialized_size() + 4);
        data.put_u32_le(MAGIC);
        let mut body = (&mut data).writer();
        map.serialize_into(&mut body).map_err(|e| Error::bug(format!("deletion vector: {e}")))?;
        let too_large = |_| Error::bug("deletion vector over 2 GiB");
        let size_in_bytes = i32::try_from(data.len()).map_err(too_large)?;
        let cardinality = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        let (storage_type, path_or_inline_dv, offset) = if data.len() <= INLINE_BYTES_MAX {
            data.resize(data.len().next_multiple_of(4), 0);
            (StorageType::Inline, z85::encode(&data), None)
        } else {
            let (id, at) = self.put(size_in_bytes, &data);
            let at = i32::try_from(at).map_err(too_large)?;
            (StorageType::UuidRelativePath, z85::encode(id.as_bytes()), Some(at))
        };
        Ok(DeletionVectorDescriptor {
            storage_type,
            path_or_inline_dv,
            offset,
            size_in_bytes,
            cardinality,
        })
    }

    /// The file's id, and where in it the vector begins.
    fn put(&mut self, size: i32, data: &[u8]) -> (uuid::Uuid, usize) {
        let (id, file) = self.open.get_or_insert_with(|| {
            let mut file = BytesMut::with_capacity(data.len() + 9);
            file.put_u8(FILE_VERSION);
            (uuid::Uuid::new_v4(), file)
        });
        let (id, at) = (*id, file.len());
        file.put_i32(size);
        file.extend_from_slice(data);
        file.put_u32(crc32(data));
        if file.len() >= FILE_BYTES_FULL {
            self.close();
        }
        (id, at)
    }

    fn close(&mut self) {
        if let Some((id, file)) = self.open.take() {
            self.files.push((file_path(self.table, id), file.freeze()));
        }
    }

    /// The files, by their path in the lake.
    pub fn finish(mut self) -> Vec<(String, Bytes)> {
        self.close();
        self.files
    }
}

/// Reads the vector that a log entry names.
pub async fn read(
    store: &Store,
    table: &str,
    at: &DeletionVectorDescriptor,
) -> Result<RoaringBitmap> {
    let bad = |why: &str| Error::corrupt(format!("deletion vector of \"{table}\": {why}"));
    let size = usize::try_from(at.size_in_bytes).map_err(|_| bad("negative size"))?;
    let data = match at.storage_type {
        StorageType::Inline => {
            let bytes = z85::decode(&at.path_or_inline_dv).map_err(|_| bad("not z85"))?;
            bytes.get(..size).ok_or_else(|| bad("shorter than it says"))?.to_vec()
        }
        StorageType::UuidRelativePath => {
            let name = &at.path_or_inline_dv;
            let id = z85::decode(name).map_err(|_| bad("not z85"))?;
            let id = uuid::Uuid::from_slice(&id).map_err(|_| bad("no uuid"))?;
            let path = file_path(table, id);
            let start = u64::try_from(at.offset.unwrap_or(1)).unwrap_or(1) + 4;
            let range = start..start + size as u64 + 4;
            let part = store.get_range(&path, range).await?;
            let part = part.ok_or_else(|| bad("its file is missing"))?;
            let data = part.get(..size).ok_or_else(|| bad("file too short"))?;
            let sum = part.get(size..size + 4).ok_or_else(|| bad("no checksum"))?;
            if sum != crc32(data).to_be_bytes() {
                return Err(bad("checksum differs"));
            }
            data.to_vec()
        }
        StorageType::AbsolutePath => return Err(bad("absolute paths are not ours")),
    };
    if data.get(..4) != Some(MAGIC.to_le_bytes().as_slice()) {
        return Err(bad("wrong magic number"));
    }
    let map = RoaringTreemap::deserialize_from(&data[4..]).map_err(|_| bad("not a bitmap"))?;
    map.iter().map(|row| u32::try_from(row).map_err(|_| bad("row beyond 2^32"))).collect()
}

/// The file's name within the table, where the vector has one.
pub(super) fn file_name(at: &DeletionVectorDescriptor) -> Option<String> {
    let id = z85::decode(&at.path_or_inline_dv).ok()?;
    Some(format!("deletion_vector_{}.bin", uuid::Uuid::from_slice(&id).ok()?))
}

fn file_path(table: &str, id: uuid::Uuid) -> String {
    format!("{table}/deletion_vector_{id}.bin")
}

/// What one byte does to a CRC-32, for each byte.
const CRC_OF_BYTE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// CRC-32 as zip has it (polynomial 0xEDB88320).
fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |crc, byte| {
        let [low, ..] = crc.to_le_bytes();
        (crc >> 8) ^ CRC_OF_BYTE[usize::from(low ^ byte)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::options::Options;

    #[test]
    fn crc32_of_the_check_string() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[tokio::test]
    async fn vectors_come_back_inline_and_from_shared_files() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&Options::at(dir.path().display().to_string())).unwrap();
        let small: RoaringBitmap = [0, 7, 65_536].into_iter().collect();
        let sparse: RoaringBitmap = (0..200_000).filter(|i| i % 30 == 0).collect();
        let large: RoaringBitmap = (0..2_000_000).filter(|i| i % 3 == 0).collect();
        let all = [&small, &sparse, &sparse, &large, &sparse];
        let mut packer = Packer::new("marts/t");
        let named: Vec<_> = all.iter().map(|rows| packer.add(rows).unwrap()).collect();
        let files = packer.finish();
        assert_eq!(files.len(), 2, "one was full after the large vector");
        for (path, body) in files {
            store.put(&path, body).await.unwrap();
        }
        for (rows, at) in all.into_iter().zip(&named) {
            assert_eq!(read(&store, "marts/t", at).await.unwrap(), *rows);
        }
    }
}
