//! Every domain-separation label of the transport (protocol §2.1). A test compares this list with the document.

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: &[u8] = $text;)*
        /// All labels.
        pub const ALL: &[&[u8]] = &[$($name),*];
    };
}

labels! {
    /// Network id.
    NETWORK = b"deut network v1";
    /// Ed25519 seed of a relay.
    RELAY_IDENTITY = b"deut relay identity v1";
    /// X25519 link key of a relay.
    RELAY_LINK = b"deut relay link v1";
    /// X25519 onion key of a relay.
    RELAY_ONION = b"deut relay onion v1";
    /// Signature of a descriptor.
    DESCRIPTOR = b"deut descriptor v1";
    /// Signature of a WhoAreYou answer.
    WHO_ARE_YOU = b"deut who are you v1";
    /// Signature of the wall clock in a WhoAreYou answer.
    CLOCK = b"deut clock v1";
    /// Noise prologue.
    LINK = b"deut link v1";
    /// MAC1 key.
    MAC1 = b"deut mac1 v1";
    /// Blinding scalar.
    WALK_BLIND = b"deut walk blind v1";
    /// HKDF salt of the walk.
    WALK = b"deut walk v1";
    /// Layer keys of a hop.
    WALK_HOP = b"deut walk hop v1";
    /// Keys between master and endpoint before the exchange.
    WALK_ENDPOINT = b"deut walk endpoint v1";
    /// Signature of the endpoint's answer.
    WALK_ANSWER = b"deut walk answer v1";
    /// Transcript of the RSA exchange.
    EXCHANGE = b"deut exchange v1";
    /// Session keys after the exchange.
    SESSION = b"deut session v1";
    /// Gate of an endpoint port.
    GATE = b"deut gate v1";
    /// HPKE info of a request.
    MESSAGE = b"deut message v1";
    /// Exported message ID.
    MESSAGE_ID = b"deut message id v1";
    /// Exported response secret.
    RESPONSE = b"deut response v1";
    /// Response key.
    RESPONSE_KEY = b"deut response key v1";
    /// Response nonce.
    RESPONSE_NONCE = b"deut response nonce v1";
    /// Random stream for keys, nonces and ids; local.
    RANDOM_SECRETS = b"deut random secrets v1";
    /// Random stream for coins, choices and delays; local.
    RANDOM_CHOICES = b"deut random choices v1";
}
