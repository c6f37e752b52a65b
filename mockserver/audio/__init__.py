"""Audio formats, codecs and WAV files; speech synthesis, recognition and activity detection."""
