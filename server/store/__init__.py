"""The store: tables, the one writer, migrations, vectors as blobs. No models here, and no web."""
