//! Our half of the RSA exchange (protocol §7.3).

use zeroize::Zeroizing;

use crate::{
    context::Context,
    crypto::{
        answer::EndpointAnswer,
        exchange::{Transcript, confirms, session_keys},
        walk::{DirectionKeys, WalkOpened},
    },
    drop_reason::DropReason,
    ids::JobTicket,
    io::Priority,
    rsa::{Job, OAEP_LEN, RsaKeyPair, RsaSuite},
};

use super::requests::Purpose;

/// Our RSA key, our secret, sealed so that only the endpoint can open it, and the secrets of the walk.
pub(super) struct Offer {
    rsa: RsaKeyPair,
    shared: Zeroizing<[u8; 32]>,
    element: [u8; 32],
    reply: [u8; 32],
    seed_m: Zeroizing<[u8; 32]>,
    oaep_m: Box<[u8; OAEP_LEN]>,
}

/// The endpoint's half as it was received.
pub(super) struct Counter {
    pub(super) sealed: Box<[u8; OAEP_LEN]>,
    pub(super) confirmation: [u8; 32],
}

impl Offer {
    /// Draws our secret and seals it to the endpoint's key.
    pub(super) fn new(
        cx: &mut Context,
        suite: &dyn RsaSuite,
        rsa: RsaKeyPair,
        opened: &WalkOpened,
        endpoint: &EndpointAnswer,
    ) -> Result<Self, DropReason> {
        let seed_m: Zeroizing<[u8; 32]> = Zeroizing::new(cx.secret());
        let oaep_seed = cx.secret();
        let oaep_m = suite
            .seal(&endpoint.spki, &seed_m, oaep_seed)
            .map_err(|_| DropReason::BadRsaKey)?;
        Ok(Self {
            rsa,
            shared: Zeroizing::new(*opened.shared),
            element: opened.element,
            reply: opened.reply,
            seed_m,
            oaep_m: Box::new(oaep_m),
        })
    }

    /// Our half as a request.
    pub(super) fn request(&self) -> Purpose {
        Purpose::Exchange {
            spki: self.rsa.public.clone(),
            sealed: self.oaep_m.clone(),
        }
    }

    /// Gives the endpoint's sealed secret to the worker.
    pub(super) fn open(&self, cx: &mut Context, counter: &Counter) -> JobTicket {
        let blinding = cx.secret();
        let job = Job::Open {
            key: self.rsa.private.clone(),
            ciphertext: counter.sealed.clone(),
            blinding,
        };
        cx.job(Priority::Exchange, job)
    }

    /// The session keys that follow from both secrets, if the endpoint has shown that it has the same.
    pub(super) fn session(
        &self,
        endpoint: &EndpointAnswer,
        counter: &Counter,
        seed_e: &[u8; 32],
    ) -> Result<DirectionKeys, DropReason> {
        let transcript = Transcript {
            element: &self.element,
            reply: &self.reply,
            endpoint_spki: &endpoint.spki,
            master_spki: &self.rsa.public,
            oaep_m: &self.oaep_m,
            oaep_e: &counter.sealed,
        };
        let (session, expected) = session_keys(&self.shared, &transcript, &self.seed_m, seed_e);
        if confirms(&expected, &counter.confirmation) {
            Ok(session)
        } else {
            Err(DropReason::BadConfirmation)
        }
    }
}
