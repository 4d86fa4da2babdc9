//! What an error of librdkafka means for the line.
//!
//! Pure. Only what is known to pass by itself counts as passing: an error that might hide a lost
//! record must never be among those.

use rdkafka::types::RDKafkaErrorCode as Code;

use crate::error::Error;

/// What is to be done about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The client tries again by itself.
    Passing,
    /// The broker does not hold the offset that we want.
    Gap,
    /// The broker knows us, and says no.
    Denied,
    /// Anything else: going on could lose records.
    Final,
}

/// The meaning of `code`.
pub fn meaning(code: Code) -> Fault {
    match code {
        Code::AutoOffsetReset | Code::OffsetOutOfRange => Fault::Gap,
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed => Fault::Denied,
        Code::AllBrokersDown
        | Code::Authentication
        | Code::BrokerNotAvailable
        | Code::BrokerTransportFailure
        | Code::CoordinatorLoadInProgress
        | Code::CoordinatorNotAvailable
        | Code::FencedLeaderEpoch
        | Code::FetchSessionIdNotFound
        | Code::InvalidFetchSessionEpoch
        | Code::KafkaStorageError
        | Code::LeaderNotAvailable
        | Code::NetworkException
        | Code::NotCoordinator
        | Code::NotLeaderForPartition
        | Code::OffsetNotAvailable
        | Code::OperationTimedOut
        | Code::RequestTimedOut
        | Code::ReplicaNotAvailable
        | Code::Resolve
        | Code::SSL
        | Code::SaslAuthenticationFailed
        | Code::ThrottlingQuotaExceeded
        | Code::UnknownLeaderEpoch
        | Code::UnknownPartition
        | Code::UnknownTopic
        | Code::UnknownTopicId
        | Code::UnknownTopicOrPartition
        | Code::WaitingForCoordinator => Fault::Passing,
        _ => Fault::Final,
    }
}

/// The error of a broker that says no.
pub fn denied(what: &str, code: Code) -> Error {
    Error::invalid(format!("kafka denies us {what}: {code}"))
        .with_hint("grant DESCRIBE and READ on the topics to the user of [kafka.properties]")
}

/// The error of reading on at `offset` that no retry mends.
pub fn damaged(topic: &str, partition: i32, offset: i64, code: Code) -> Error {
    Error::corrupt(format!(
        "topic `{topic}`, partition {partition}, at or after offset {offset}: {code}"
    ))
    .with_hint("the record can't be read whole; look at it with kcat and at the broker's log")
}
