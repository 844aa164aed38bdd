-- The keys by which events that came before are known: of those without a feedback_id the first six
-- bytes are the time now (src/mail/event.c), so that what is new lies together in the index.

{{postgresql:
UPDATE email_events SET dedupe = decode(lpad(to_hex(at), 12, '0'), 'hex') || substring(dedupe FROM 7)
    WHERE feedback_id = '';
:}}
{{sqlite:
-- There is no function that makes bytes of a number: each is looked up among all.
UPDATE email_events SET dedupe = CAST(
    substr(b.all_bytes, 1 + (at >> 40 & 255), 1) ||
    substr(b.all_bytes, 1 + (at >> 32 & 255), 1) ||
    substr(b.all_bytes, 1 + (at >> 24 & 255), 1) ||
    substr(b.all_bytes, 1 + (at >> 16 & 255), 1) ||
    substr(b.all_bytes, 1 + (at >> 8 & 255), 1) ||
    substr(b.all_bytes, 1 + (at >> 0 & 255), 1) ||
    substr(dedupe, 7) AS BLOB)
    FROM (SELECT CAST(x'000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f' ||
        x'303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f' ||
        x'606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f' ||
        x'909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf' ||
        x'c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeef' ||
        x'f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff' AS BLOB) AS all_bytes) b
    WHERE feedback_id = '';
:}}
