//! [`Caller`]: on whose behalf a request or a socket's event is carried out.
//!
//! Membership and ownership are `core`'s decisions; here is only who one is and whom one may speak for.

use super::{AuthError, Identity, Verified};

/// What a token lets its holder do besides being themselves. Told by the app's own tokens only; a Twilio access
/// token always makes a [`Role::User`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Speaks for themselves.
    User,
    /// May act for others and see what is not theirs.
    Admin,
    /// A program of the app's own back end; may do what an admin may.
    Service,
}

/// Who is asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// No token where none is demanded (`AUTH_MODE=optional`): the identity a request names is believed.
    Anonymous,
    /// The holder of a valid token.
    Known {
        /// Whom the token names.
        identity: Identity,
        /// What the token allows.
        role: Role,
    },
    /// Somebody without an account who asks for support, by a guest id: a person like any other, but no token names them.
    Guest(Identity),
    /// The app's back end, by its `X-Api-Key`. Has no identity of its own.
    Service,
}

impl Caller {
    /// The identity this request is carried out as, given the one it `claimed` (author, senderId, userId …).
    ///
    /// A user is themselves: the claim may only repeat that. Admins and services act as whom they name, else as
    /// themselves. An anonymous caller must name somebody and is believed, unless no user can be called so.
    ///
    /// # Errors
    /// [`AuthError::NotYou`] when a user names somebody else; [`AuthError::Forbidden`] when an anonymous caller names
    /// what no user can be called; [`AuthError::IdentityMissing`] when nobody is named and the caller has no identity of
    /// their own.
    pub fn acting_as(&self, claimed: Option<&Identity>) -> Result<Identity, AuthError> {
        match (self, claimed) {
            (Self::Known { identity, role: Role::User } | Self::Guest(identity), Some(claimed))
                if identity != claimed =>
            {
                Err(AuthError::NotYou)
            }
            (Self::Known { identity, role: Role::User } | Self::Guest(identity), _) => Ok(identity.clone()),
            (Self::Anonymous, Some(claimed)) if claimed.is_reserved() => Err(AuthError::Forbidden),
            (Self::Anonymous | Self::Service | Self::Known { .. }, Some(claimed)) => Ok(claimed.clone()),
            (Self::Known { identity, .. }, None) => Ok(identity.clone()),
            (Self::Anonymous | Self::Service, None) => Err(AuthError::IdentityMissing),
        }
    }

    /// The caller's own identity, when a token or a guest id told it.
    pub fn identity(&self) -> Option<&Identity> {
        match self {
            Self::Known { identity, .. } | Self::Guest(identity) => Some(identity),
            Self::Anonymous | Self::Service => None,
        }
    }

    /// The caller's own identity, where nothing goes without: what belongs to a person.
    ///
    /// # Errors
    /// [`AuthError::Missing`] without a token, [`AuthError::IdentityMissing`] for the app's back end by its key.
    pub fn person(&self) -> Result<&Identity, AuthError> {
        match self {
            Self::Known { identity, .. } => Ok(identity),
            Self::Anonymous | Self::Guest(_) => Err(AuthError::Missing),
            Self::Service => Err(AuthError::IdentityMissing),
        }
    }

    /// Whether the caller may act for others: an admin, or a service by token or by key.
    pub fn is_admin(&self) -> bool {
        match self {
            Self::Known { role, .. } => matches!(role, Role::Admin | Role::Service),
            Self::Service => true,
            Self::Anonymous | Self::Guest(_) => false,
        }
    }

    /// Whether nothing proves who the caller is.
    pub fn is_anonymous(&self) -> bool {
        matches!(self, Self::Anonymous)
    }
}

impl From<&Verified> for Caller {
    fn from(verified: &Verified) -> Self {
        Self::Known { identity: verified.identity.clone(), role: verified.role }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(text: &str) -> Identity {
        text.try_into().unwrap()
    }

    fn known(role: Role) -> Caller {
        Caller::Known { identity: identity("alice"), role }
    }

    #[test]
    fn a_user_is_only_themselves() {
        let alice = known(Role::User);
        assert_eq!(alice.acting_as(None), Ok(identity("alice")));
        assert_eq!(alice.acting_as(Some(&identity("alice"))), Ok(identity("alice")));
        assert_eq!(alice.acting_as(Some(&identity("bob"))), Err(AuthError::NotYou));
        assert!(!alice.is_admin());
    }

    #[test]
    fn a_guest_is_only_that_guest() {
        let guest = Caller::Guest(identity("guest_1_a"));
        assert_eq!(guest.acting_as(None), Ok(identity("guest_1_a")));
        assert_eq!(guest.acting_as(Some(&identity("bob"))), Err(AuthError::NotYou));
        assert!(!guest.is_admin() && !guest.is_anonymous());
    }

    #[test]
    fn admins_and_services_act_for_others() {
        for role in [Role::Admin, Role::Service] {
            assert_eq!(known(role).acting_as(Some(&identity("bob"))), Ok(identity("bob")));
            assert_eq!(known(role).acting_as(None), Ok(identity("alice")));
            assert!(known(role).is_admin());
        }
        assert_eq!(Caller::Service.acting_as(Some(&identity("bob"))), Ok(identity("bob")));
        assert_eq!(Caller::Service.acting_as(None), Err(AuthError::IdentityMissing));
        assert!(Caller::Service.is_admin());
    }

    #[test]
    fn an_anonymous_caller_is_believed_but_must_name_somebody() {
        assert_eq!(Caller::Anonymous.acting_as(Some(&identity("bob"))), Ok(identity("bob")));
        for nobodys in ["system", "guest_1765360800000_abcdef", "\u{ff41}dmin"] {
            let refused = Caller::Anonymous.acting_as(Some(&identity(nobodys)));
            assert_eq!(refused, Err(AuthError::Forbidden), "{nobodys}");
        }
        assert_eq!(Caller::Anonymous.acting_as(None), Err(AuthError::IdentityMissing));
        assert!(!Caller::Anonymous.is_admin());
    }
}
