package js

import (
	"errors"
)

// zeroByte is the character that stands for the byte 0 on its way out of the VM.
const zeroByte = 256

var errNoBytes = errors.New("this call cannot return bytes")

// chunk takes a part of a result that is bytes: one character a byte. The array that it comes from lies in the VM's memory,
// whose limit bounds the whole.
func (c *call) chunk(text string) error {
	if c.bytes == nil {
		return errNoBytes
	}

	for _, char := range text {
		if char > zeroByte {
			return errArguments
		}

		c.bytes.Data = append(c.bytes.Data, byte(char%zeroByte)) //nolint:gosec // less than 256
	}

	if int64(len(c.bytes.Data)) > c.program.memory {
		return errArguments
	}

	return nil
}

// data ends the call with the bytes that came in chunks.
func (c *call) data(contentType string) error {
	if c.bytes == nil {
		return errNoBytes
	}

	if c.bytes.Data == nil {
		c.bytes.Data = []byte{}
	}

	c.bytes.ContentType = contentType
	c.decide("null", nil)

	return nil
}
