//! speech_tokenizer
