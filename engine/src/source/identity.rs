//! What a broker calls a topic beside its name: an id that a topic created anew does not share.
//!
//! rdkafka has no call for it, so librdkafka is asked itself: the one place of the station without
//! the crate's safety. Everything that is made here is freed here, and nothing is kept.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char};

use rdkafka::bindings as raw;
use rdkafka::types::RDKafka;

/// Runs `free` on a pointer when dropped; null is never handed to it.
struct Owned<T>(*mut T, unsafe extern "C" fn(*mut T));

impl<T> Drop for Owned<T> {
    #[expect(unsafe_code, reason = "frees what librdkafka made")]
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: the pointer came from the call that `self.1` is the counterpart of, and is
            // freed once.
            unsafe { (self.1)(self.0) };
        }
    }
}

/// The ids of these topics, as base64. A topic is left out where its broker tells none: it is too
/// old for ids, or does not know the topic.
#[expect(unsafe_code, reason = "rdkafka wraps no DescribeTopics: see the file's head")]
pub(super) fn topic_ids(
    client: *mut RDKafka,
    topics: &[&str],
    wait_ms: i32,
) -> BTreeMap<String, String> {
    let names: Vec<CString> = topics.iter().filter_map(|name| CString::new(*name).ok()).collect();
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    if pointers.is_empty() {
        return BTreeMap::new();
    }
    // SAFETY: `client` is alive for the call. The names outlive the collection that points at them.
    // The event owns what is read out of it, and outlives `read`. The queue, which no other call
    // knows, is asked for one event; an answer that comes later goes with it.
    unsafe {
        let asked =
            raw::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        let asked = Owned(asked, raw::rd_kafka_TopicCollection_destroy);
        let queue = Owned(raw::rd_kafka_queue_new(client), raw::rd_kafka_queue_destroy);
        let kind = raw::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        let options = raw::rd_kafka_AdminOptions_new(client, kind);
        let options = Owned(options, raw::rd_kafka_AdminOptions_destroy);
        if asked.0.is_null() || queue.0.is_null() || options.0.is_null() {
            return BTreeMap::new();
        }
        let mut reason = [0; 256];
        raw::rd_kafka_AdminOptions_set_request_timeout(
            options.0,
            wait_ms,
            reason.as_mut_ptr(),
            reason.len(),
        );
        raw::rd_kafka_DescribeTopics(client, asked.0, options.0, queue.0);
        let event = raw::rd_kafka_queue_poll(queue.0, wait_ms);
        let event = Owned(event, raw::rd_kafka_event_destroy);
        if event.0.is_null() {
            return BTreeMap::new();
        }
        read(raw::rd_kafka_event_DescribeTopics_result(event.0))
    }
}

/// # Safety
///
/// `result` is null or belongs to an event that outlives the call.
#[expect(unsafe_code, reason = "rdkafka wraps no DescribeTopics: see the file's head")]
unsafe fn read(result: *const raw::rd_kafka_DescribeTopics_result_t) -> BTreeMap<String, String> {
    let mut ids = BTreeMap::new();
    if result.is_null() {
        return ids;
    }
    let mut count = 0;
    // SAFETY: the array and all that its elements point at belong to the result; strings end in 0.
    unsafe {
        let topics = raw::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if topics.is_null() {
            return ids;
        }
        let topics = std::slice::from_raw_parts(topics, count);
        // Null stands for a topic that the broker's answer left out.
        for topic in topics.iter().filter(|topic| !topic.is_null()) {
            let error = raw::rd_kafka_TopicDescription_error(*topic);
            let code = raw::rd_kafka_error_code(error);
            let id = raw::rd_kafka_TopicDescription_topic_id(*topic);
            let none = id.is_null()
                || raw::rd_kafka_Uuid_most_significant_bits(id) == 0
                    && raw::rd_kafka_Uuid_least_significant_bits(id) == 0;
            if code != raw::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR || none {
                continue;
            }
            let name = CStr::from_ptr(raw::rd_kafka_TopicDescription_name(*topic));
            let id = CStr::from_ptr(raw::rd_kafka_Uuid_base64str(id));
            ids.insert(name.to_string_lossy().into_owned(), id.to_string_lossy().into_owned());
        }
    }
    ids
}
