-- Whose tokens of before no longer hold. Gone once every such token has expired.
CREATE TABLE sign_outs (
    identity      TEXT   PRIMARY KEY,
    signed_out_at BIGINT NOT NULL -- unix seconds
);
CREATE INDEX sign_outs_by_time ON sign_outs (signed_out_at);
